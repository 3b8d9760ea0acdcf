#include "harness/base/error.h"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace proberace {

std::string_view name(ErrorKind kind) noexcept {
  switch (kind) {
  case ErrorKind::NotMapped: return "not-mapped";
  case ErrorKind::NotExecutable: return "not-executable";
  case ErrorKind::OutsideFunction: return "outside-function";
  case ErrorKind::NotABoundary: return "not-a-boundary";
  case ErrorKind::AlreadyInt3: return "already-int3";
  case ErrorKind::AlreadyArmed: return "already-armed";
  case ErrorKind::NotArmed: return "not-armed";
  case ErrorKind::StaleSite: return "stale-site";
  case ErrorKind::Conflict: return "conflict";
  case ErrorKind::InstructionUnsupported: return "instruction-unsupported";
  case ErrorKind::MemoryUnsupported: return "memory-unsupported";
  case ErrorKind::MappingLimit: return "mapping-limit";
  case ErrorKind::NoRoom: return "no-room";
  case ErrorKind::NotTakingEffect: return "not-taking-effect";
  case ErrorKind::ThreadWouldNotStop: return "thread-would-not-stop";
  case ErrorKind::NotQuiescent: return "not-quiescent";
  case ErrorKind::AlreadyOpen: return "already-open";
  case ErrorKind::NotOpen: return "not-open";
  case ErrorKind::Unsupported: return "unsupported";
  case ErrorKind::NoPermission: return "no-permission";
  case ErrorKind::MachineLacks: return "machine-lacks";
  case ErrorKind::System: return "system";
  case ErrorKind::BadInput: return "bad-input";
  }
  return "unknown";
}

std::string describe(const Error& error) {
  if (error.address == Address{})
    return fmt::format("{}: {}", name(error.kind), error.message);
  return fmt::format("{:#x}: {}: {}", value(error.address), name(error.kind), error.message);
}

Error system_error(std::string_view what, int error_number, Address address) {
  const bool denied = error_number == EPERM || error_number == EACCES;
  return Error{denied ? ErrorKind::NoPermission : ErrorKind::System, address,
               fmt::format("{}: {}", what, std::generic_category().message(error_number))};
}

} // namespace proberace
