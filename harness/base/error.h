// Errors are values: a kind a program can test, the address it is about, a sentence a user can act on.
#pragma once

#include "harness/base/address.h"

#include <expected>
#include <string>
#include <string_view>

namespace proberace {

enum class ErrorKind {
  // A site that cannot be probed.
  NotMapped,
  NotExecutable,
  OutsideFunction,
  NotABoundary,
  AlreadyInt3,
  AlreadyArmed,
  NotArmed,
  StaleSite,
  Conflict,
  InstructionUnsupported,
  MemoryUnsupported,
  MappingLimit,
  NoRoom,
  NotTakingEffect,
  // A strategy or the machine that cannot do what was asked.
  ThreadWouldNotStop,
  NotQuiescent,
  AlreadyOpen,
  NotOpen,
  Unsupported,
  NoPermission,
  MachineLacks,
  System,
  // Bad usage.
  BadInput,
};

struct Error {
  ErrorKind kind;
  Address address{};
  std::string message;
};

using Status = std::expected<void, Error>;

// Stable, lower-case, hyphenated: used in JSON results.
std::string_view name(ErrorKind kind) noexcept;

// "0x7f12…: not-a-boundary: <message>", the address only where there is one.
std::string describe(const Error& error);

// An error made from an errno value: "<what>: <strerror>". EPERM and EACCES become NoPermission.
Error system_error(std::string_view what, int error_number, Address address = {});

} // namespace proberace
