// Errors are values: a kind a program can test, the address it is about, a sentence a user can act on.
#pragma once

#include "harness/base/address.h"
#include "harness/base/enumeration.h"

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

inline constexpr auto kErrorKinds = enumeration<Named<ErrorKind>>({
    {ErrorKind::NotMapped, "not-mapped"},
    {ErrorKind::NotExecutable, "not-executable"},
    {ErrorKind::OutsideFunction, "outside-function"},
    {ErrorKind::NotABoundary, "not-a-boundary"},
    {ErrorKind::AlreadyInt3, "already-int3"},
    {ErrorKind::AlreadyArmed, "already-armed"},
    {ErrorKind::NotArmed, "not-armed"},
    {ErrorKind::StaleSite, "stale-site"},
    {ErrorKind::Conflict, "conflict"},
    {ErrorKind::InstructionUnsupported, "instruction-unsupported"},
    {ErrorKind::MemoryUnsupported, "memory-unsupported"},
    {ErrorKind::MappingLimit, "mapping-limit"},
    {ErrorKind::NoRoom, "no-room"},
    {ErrorKind::NotTakingEffect, "not-taking-effect"},
    {ErrorKind::ThreadWouldNotStop, "thread-would-not-stop"},
    {ErrorKind::NotQuiescent, "not-quiescent"},
    {ErrorKind::AlreadyOpen, "already-open"},
    {ErrorKind::NotOpen, "not-open"},
    {ErrorKind::Unsupported, "unsupported"},
    {ErrorKind::NoPermission, "no-permission"},
    {ErrorKind::MachineLacks, "machine-lacks"},
    {ErrorKind::System, "system"},
    {ErrorKind::BadInput, "bad-input"},
});
constexpr const auto& rows_of(ErrorKind) noexcept {
  return kErrorKinds;
}

struct Error {
  ErrorKind kind;
  Address address{};
  std::string message;
};

using Status = std::expected<void, Error>;

// "0x7f12…: not-a-boundary: <message>", the address only where there is one.
std::string describe(const Error& error);

// An error made from an errno value: "<what>: <strerror>". EPERM and EACCES become NoPermission.
Error system_error(std::string_view what, int error_number, Address address = {});

} // namespace proberace
