#include "stress/debuggee/program_file.h"

#include "harness/base/failure.h"
#include "stress/names/object_name.h"

#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace proberace {

namespace {

// "" if no folder of PATH has it.
std::string file_of(const std::string& program) {
  return program.find('/') != std::string::npos ? program : found_in_path(program).value_or("");
}

bool gets_other_rights(const std::string& file, const struct stat& status) {
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::geteuid())
    return true;
  if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 && status.st_gid != ::getegid())
    return true;
  return ::geteuid() != 0 && ::getxattr(file.c_str(), "security.capability", nullptr, 0) > 0;
}

} // namespace

Status can_be_started(const std::string& program) {
  const std::string file = file_of(program);
  struct stat status {};
  if (file.empty() || ::stat(file.c_str(), &status) != 0)
    return bad_input("cannot execute the program: {}: {}", program, std::strerror(ENOENT));
  if (!S_ISREG(status.st_mode) || ::access(file.c_str(), X_OK) != 0)
    return bad_input("cannot execute the program: {}: {}", program, std::strerror(EACCES));
  if (gets_other_rights(file, status))
    return bad_input(
        "{} runs with another user's rights, which a probed program does not get: run this command as "
        "that user",
        file);
  unsigned char head[EI_NIDENT] = {};
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool read = descriptor >= 0 && ::read(descriptor, head, sizeof head) == sizeof head;
  if (descriptor >= 0)
    ::close(descriptor);
  if (read && std::memcmp(head, ELFMAG, SELFMAG) == 0 && head[EI_CLASS] != ELFCLASS64)
    return bad_input("{} is a 32-bit program: only 64-bit ones can be probed", file);
  return {};
}

} // namespace proberace
