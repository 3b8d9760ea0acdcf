#include "harness/file/whole_file.h"

#include "harness/base/failure.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace proberace {

namespace {

// One that no other process writes.
std::string part_of(const std::string& path) {
  return fmt::format("{}.{}.part", path, ::getpid());
}

// Where links lead, even if nothing is there yet.
std::string behind_links(const std::filesystem::path& path) {
  constexpr int kMost = 40; // as the kernel follows
  std::filesystem::path at = path;
  std::error_code none;
  for (int i = 0; i < kMost && std::filesystem::is_symlink(at, none); ++i)
    at = at.parent_path() / std::filesystem::read_symlink(at, none); // an absolute target replaces the parent
  return at;
}

// Under whatever name: /dev/stdout, /proc/self/fd/1, or the file that the shell opened.
bool is_standard_output(const struct stat& file) {
  struct stat output {};
  return ::fstat(STDOUT_FILENO, &output) == 0 && output.st_dev == file.st_dev && output.st_ino == file.st_ino;
}

} // namespace

std::expected<WholeFile, Error> WholeFile::create(const std::string& path) {
  WholeFile file;
  file.path_ = path;
  struct stat there {};
  const bool exists = ::stat(path.c_str(), &there) == 0;
  if (path == "-" || (exists && is_standard_output(there))) {
    file.part_.reset(::fdopen(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0), "w"));
  } else if (exists && S_ISDIR(there.st_mode)) {
    return bad_input("cannot write '{}': it is a folder", path);
  } else if (exists && !S_ISREG(there.st_mode)) {
    file.part_.reset(std::fopen(path.c_str(), "we"));
  } else {
    file.path_ = behind_links(path);
    file.part_path_ = part_of(file.path_);
    file.part_.reset(std::fopen(file.part_path_.c_str(), "we"));
  }
  if (file.part_ == nullptr)
    return bad_input("cannot write '{}': {}", path, std::strerror(errno));
  return file;
}

WholeFile::~WholeFile() {
  if (part_ != nullptr && !goes_through())
    ::unlink(part_path_.c_str());
}

Status WholeFile::fill(std::string_view text) {
  std::FILE* const file = part_.release();
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() &&
                       std::fflush(file) == 0 && (goes_through() || ::fsync(::fileno(file)) == 0);
  const int error = errno;
  if (std::fclose(file) == 0 && written)
    return {};
  return given_up(written ? errno : error);
}

std::unexpected<Error> WholeFile::given_up(int error) const {
  if (!goes_through())
    ::unlink(part_path_.c_str());
  return std::unexpected(system_error(fmt::format("cannot write '{}'", path_), error));
}

Status WholeFile::write(std::string_view text) {
  if (const Status filled = fill(text); !filled)
    return filled;
  if (goes_through())
    return {};
  if (::rename(part_path_.c_str(), path_.c_str()) != 0)
    return given_up(errno);
  return {};
}

std::expected<bool, Error> WholeFile::write_new(std::string_view text) {
  if (const Status filled = fill(text); !filled)
    return std::unexpected(filled.error());
  if (goes_through())
    return true;
  const bool linked = ::link(part_path_.c_str(), path_.c_str()) == 0;
  if (!linked && errno != EEXIST)
    return given_up(errno);
  ::unlink(part_path_.c_str());
  return linked;
}

} // namespace proberace
