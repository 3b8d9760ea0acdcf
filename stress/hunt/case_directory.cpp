#include "stress/hunt/case_directory.h"

#include "harness/base/read_file.h"
#include "harness/file/whole_file.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {

constexpr std::string_view kSchema = "proberace/campaign/1";

std::string description(const std::string& path) {
  return path + "/campaign.json";
}

std::unexpected<Error> bad(std::string message) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, std::move(message)});
}

// The first key in which two campaigns differ, as a reader would want it; empty if they are the same.
std::string difference(const Json& a, const Json& b) {
  for (const auto& [key, value] : a.items())
    if (!b.contains(key) || b[key] != value)
      return fmt::format("{} is {} there and {} here", key, b.contains(key) ? b[key].dump() : "not given",
                         value.dump());
  for (const auto& [key, value] : b.items())
    if (!a.contains(key))
      return fmt::format("{} is {} there and not given here", key, value.dump());
  return "";
}

// The lines of one file that are whole.
Status read_lines(const std::string& path, CaseSet& set) {
  std::ifstream in(path);
  if (!in)
    return bad(fmt::format("{}: cannot be read", path));
  std::string line;
  for (std::size_t n = 1; std::getline(in, line); ++n) {
    if (in.eof()) // no newline: its writer was killed in it
      break;
    Json result = Json::parse(line, nullptr, false);
    if (!result.is_object() || !result.contains("seed") || !result["seed"].is_number_unsigned())
      return bad(fmt::format("{}:{}: not a finished case", path, n));
    set.keep(std::move(result));
  }
  if (in.bad())
    return bad(fmt::format("{}: cannot be read to its end", path));
  return {};
}

} // namespace

bool CaseSet::keep(Json line) {
  const auto [at, fresh] = done.try_emplace(line.at("seed").get<std::uint64_t>(), line);
  if (fresh)
    return true;
  if (at->second.value("broken", false) || !line.value("broken", false))
    return false;
  at->second = std::move(line);
  return true;
}

std::expected<CaseSet, Error> CaseDirectory::read(const std::string& path) {
  CaseSet set;
  const auto text = read_file(description(path));
  if (!text)
    return bad(fmt::format("{} is no folder of a long hunt: {}", path, text.error().message));
  set.campaign = Json::parse(*text, nullptr, false);
  if (!set.campaign.is_object() || set.campaign.value("schema", "") != kSchema)
    return bad(fmt::format("{}: not {}", description(path), kSchema));
  set.campaign.erase("schema");
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error))
    if (entry.path().extension() == ".cases")
      if (const Status lines = read_lines(entry.path(), set); !lines)
        return std::unexpected(lines.error());
  if (error)
    return bad(fmt::format("{} cannot be listed: {}", path, error.message()));
  return set;
}

std::expected<CaseDirectory, Error> CaseDirectory::open(const std::string& path, const Json& campaign) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return bad(fmt::format("cannot make the directory {}: {}", path, error.message()));
  if (std::filesystem::exists(description(path))) {
    const auto there = read(path);
    if (!there)
      return std::unexpected(there.error());
    if (const std::string differs = difference(campaign, there->campaign); !differs.empty())
      return bad(fmt::format("{} is another hunt's: {}; name another directory", path, differs));
    return CaseDirectory(path);
  }
  Json described{{"schema", kSchema}};
  described.update(campaign);
  auto file = WholeFile::create(description(path));
  if (!file)
    return std::unexpected(file.error());
  const auto written = file->write_new(described.dump(2) + "\n");
  if (!written)
    return std::unexpected(written.error());
  return *written ? CaseDirectory(path) : open(path, campaign); // another process was faster
}

CaseDirectory::Writer CaseDirectory::writer() const {
  char host[256] = "";
  (void)::gethostname(host, sizeof host - 1);
  for (int n = 0;; ++n) // a process id comes again some day
    if (std::string path = fmt::format("{}/{}-{}-{}.cases", path_, host, ::getpid(), n);
        !std::filesystem::exists(path))
      return Writer(std::move(path));
}

CaseDirectory::Writer::Writer(Writer&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

CaseDirectory::Writer::~Writer() {
  if (file_ >= 0)
    ::close(file_);
}

Status CaseDirectory::Writer::append(const Json& result) {
  if (file_ < 0)
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0)
    return std::unexpected(system_error(fmt::format("cannot create {}", path_), errno));
  const std::string line = result.dump() + "\n";
  const ssize_t written = ::write(file_, line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()))
    return {};
  return std::unexpected(system_error(fmt::format("cannot write {}", path_), written < 0 ? errno : ENOSPC));
}

std::expected<CaseSet, Error> merged(const std::vector<std::string>& paths) {
  CaseSet all;
  for (const std::string& path : paths) {
    auto set = CaseDirectory::read(path);
    if (!set)
      return set;
    if (all.campaign.is_null())
      all.campaign = set->campaign;
    else if (const std::string differs = difference(all.campaign, set->campaign); !differs.empty())
      return bad(fmt::format("{} is another hunt than {}: {}", path, paths[0], differs));
    for (auto& [seed, line] : set->done)
      all.keep(std::move(line));
  }
  return all;
}

} // namespace proberace
