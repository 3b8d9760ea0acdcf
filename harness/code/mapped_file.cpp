#include "harness/code/mapped_file.h"

#include "harness/base/failure.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace proberace {

std::expected<MappedFile, Error> MappedFile::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (file < 0 || ::fstat(file, &status) != 0) {
    const int error = errno;
    if (file >= 0)
      ::close(file);
    return bad_input("{}: cannot be read: {}", path, std::strerror(error));
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(file);
    return bad_input("{} is no regular file", path);
  }
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* const at = bytes != 0 ? ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
  const int error = errno;
  ::close(file);
  if (at == MAP_FAILED)
    return bad_input("{}: cannot be mapped: {}", path, std::strerror(error));
  return MappedFile({static_cast<const std::uint8_t*>(at), bytes});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty())
    ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

} // namespace proberace
