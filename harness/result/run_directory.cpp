#include "harness/result/run_directory.h"

#include "harness/base/failure.h"
#include "harness/base/json.h"
#include "harness/base/read_file.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace proberace {

namespace fs = std::filesystem;

Status write_whole(const fs::path& path, const std::string& content) {
  const fs::path part = path.string() + ".part";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0)
    return std::unexpected(system_error(fmt::format("cannot create {}", part.string()), errno));
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = ::write(file, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    written += static_cast<std::size_t>(n);
  }
  const bool synced = written == content.size() && ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  if (!synced || ::rename(part.c_str(), path.c_str()) != 0) {
    const int why = synced ? errno : error;
    ::unlink(part.c_str());
    return std::unexpected(system_error(fmt::format("cannot write {}", path.string()), why));
  }
  return {};
}

std::expected<RunDirectory, Error> RunDirectory::create(const fs::path& out, const std::string& machine,
                                                        const std::string& time) {
  RunDirectory run;
  run.final_ = out / machine / time;
  run.part_ = out / machine / fmt::format(".{}.{}.part", time, ::getpid());
  std::error_code error;
  fs::create_directories(run.part_, error);
  if (error)
    return bad_input("cannot write results to '{}': {}; choose another folder with --out", out.string(),
                     error.message());
  return run;
}

Status RunDirectory::write(const std::string& file, const std::string& content) const {
  return write_whole(part_ / file, content);
}

std::expected<LineWriter, Error> RunDirectory::raw(const std::string& file) const {
  return LineWriter::create((part_ / file).string());
}

std::expected<fs::path, Error> RunDirectory::finish() {
  for (int n = 1;; ++n) {
    fs::path target = n == 1 ? final_ : fs::path(fmt::format("{}-{}", final_.string(), n));
    if (::mkdir(target.c_str(), 0755) != 0) { // claims the name; rename replaces an empty directory
      if (errno == EEXIST)
        continue;
      return std::unexpected(system_error(fmt::format("cannot create {}", target.string()), errno));
    }
    if (::rename(part_.c_str(), target.c_str()) != 0)
      return std::unexpected(system_error(fmt::format("cannot rename {}", part_.string()), errno));
    part_ = target;
    return target;
  }
}

std::expected<Summary, Error> read_summary(const fs::path& directory) {
  const fs::path path = directory / "summary.json";
  const auto bad = [&](const std::string& what) { return bad_input("{}: {}", path.string(), what); };
  const auto text = read_file(path.string());
  if (!text)
    return bad_input("{}; name a run's folder, as `bench` printed it", text.error().message);
  const Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded())
    return bad("is no JSON");
  auto summary = summary_from(json);
  if (!summary)
    return bad(summary.error().message);
  return *summary;
}

} // namespace proberace
