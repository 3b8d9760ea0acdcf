#include "harness/file/whole_file.h"

#include "harness/base/failure.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace proberace {

namespace {

// One that no other process writes.
std::string part_of(const std::string& path) {
  return fmt::format("{}.{}.part", path, ::getpid());
}

} // namespace

std::expected<WholeFile, Error> WholeFile::create(const std::string& path) {
  WholeFile file;
  file.path_ = path;
  file.part_path_ = part_of(path);
  file.part_.reset(std::fopen(file.part_path_.c_str(), "we"));
  if (file.part_ == nullptr)
    return bad_input("cannot write '{}': {}", path, std::strerror(errno));
  return file;
}

WholeFile::~WholeFile() {
  if (part_ != nullptr)
    ::unlink(part_path_.c_str());
}

Status WholeFile::fill(std::string_view text) {
  std::FILE* const file = part_.release();
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() &&
                       std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
  const int error = errno;
  if (std::fclose(file) == 0 && written)
    return {};
  return given_up(written ? errno : error);
}

std::unexpected<Error> WholeFile::given_up(int error) const {
  ::unlink(part_path_.c_str());
  return std::unexpected(system_error(fmt::format("cannot write '{}'", path_), error));
}

Status WholeFile::write(std::string_view text) {
  if (const Status filled = fill(text); !filled)
    return filled;
  if (::rename(part_path_.c_str(), path_.c_str()) != 0)
    return given_up(errno);
  return {};
}

std::expected<bool, Error> WholeFile::write_new(std::string_view text) {
  if (const Status filled = fill(text); !filled)
    return std::unexpected(filled.error());
  const bool linked = ::link(part_path_.c_str(), path_.c_str()) == 0;
  if (!linked && errno != EEXIST)
    return given_up(errno);
  ::unlink(part_path_.c_str());
  return linked;
}

} // namespace proberace
