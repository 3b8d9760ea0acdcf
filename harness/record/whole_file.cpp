#include "harness/record/whole_file.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace proberace {

namespace {

std::string part_of(const std::string& path) {
  return path + ".part";
}

} // namespace

std::expected<WholeFile, Error> WholeFile::create(const std::string& path) {
  WholeFile file;
  file.path_ = path;
  file.part_.reset(std::fopen(part_of(path).c_str(), "we"));
  if (file.part_ == nullptr)
    return std::unexpected(
        Error{ErrorKind::BadInput, {}, fmt::format("cannot write '{}': {}", path, std::strerror(errno))});
  return file;
}

WholeFile::~WholeFile() {
  if (part_ != nullptr)
    ::unlink(part_of(path_).c_str());
}

Status WholeFile::write(std::string_view text) {
  std::FILE* const file = part_.release();
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() &&
                       std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
  int error = errno;
  if (std::fclose(file) == 0 && written && ::rename(part_of(path_).c_str(), path_.c_str()) == 0)
    return {};
  error = written ? errno : error;
  ::unlink(part_of(path_).c_str());
  return std::unexpected(system_error(fmt::format("cannot write '{}'", path_), error));
}

} // namespace proberace
