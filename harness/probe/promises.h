// The promises that a strategy makes, as data. Properties judge observations against them: a broken promise
// is a failure, a breakage that no promise covers is a finding. A strategy makes only promises for which it
// has a mechanism.
#pragma once

#include "harness/base/enumeration.h"

#include <bitset>
#include <initializer_list>
#include <string_view>

namespace proberace {

enum class Promise {
  ExactCounts,
  InsertionWhileRunning,
  RemovalWhileRunning,
  StackOperands,
  RipRelative,
  AllControlFlow,
  RepeatsCountOnce,
  SignalsSeeOriginalPc,
  FaultsSeeOriginalPc,
  Reentrant,
  ForkSafe,
  NoAddedMapping,
  NoWritableExecutable,
  FileBackedText,
  RedZoneIntact,
  VectorStateIntact,
  AnyFlags,
  OwnTrapsDelivered,
  ChangesTakeEffect,
  HandlersMayJump,
  ThreadsMayEnd,
  AltstackKept,
  SmallStacks,
  SigtrapMayBeBlocked,
  SigtrapMayBeTaken,
  AnyThreadPointer,
  VforkSafe,
  SyscallsUndisturbed,
  UnmappingSafe,
  RseqIntact,
  ProbesInOwnPath,
  HelperMayDie,
};

struct PromiseText {
  Promise value;
  std::string_view name;     // stable: the case in results' promise rows
  std::string_view sentence; // for people
};

inline constexpr auto kPromises = enumeration<PromiseText>({
    {Promise::ExactCounts, "exact-counts",
     "each execution of an armed site is counted exactly once, with threads"},
    {Promise::InsertionWhileRunning, "insertion-while-running",
     "insert is safe while others execute the site"},
    {Promise::RemovalWhileRunning, "removal-while-running", "remove is safe while others execute the site"},
    {Promise::StackOperands, "stack-operands", "instructions that use the stack pointer work"},
    {Promise::RipRelative, "rip-relative", "RIP-relative operands work"},
    {Promise::AllControlFlow, "all-control-flow", "jumps, calls, returns and loops work, taken and not"},
    {Promise::RepeatsCountOnce, "repeats-count-once",
     "a string instruction with a rep prefix is one hit, however often it repeats"},
    {Promise::SignalsSeeOriginalPc, "signals-see-original-pc",
     "asynchronous signals never see a slot's address"},
    {Promise::FaultsSeeOriginalPc, "faults-see-original-pc", "faults are reported at the site"},
    {Promise::Reentrant, "reentrant", "a hit handler may execute probed code"},
    {Promise::ForkSafe, "fork-safe", "a forked child runs on and adds nothing to the parent's counts"},
    {Promise::NoAddedMapping, "no-added-mapping", "while armed the process has the mappings it had"},
    {Promise::NoWritableExecutable, "no-writable-executable", "no memory is both writable and executable"},
    {Promise::FileBackedText, "file-backed-text", "works on the text of libraries"},
    {Promise::RedZoneIntact, "red-zone-intact", "the 128 bytes below rsp are untouched"},
    {Promise::VectorStateIntact, "vector-state-intact", "vector, x87 and MXCSR state is untouched"},
    {Promise::AnyFlags, "any-flags", "hits work with DF, AC, NT or the program's own TF set"},
    {Promise::OwnTrapsDelivered, "own-traps-delivered", "the program's own traps reach its handler"},
    {Promise::ChangesTakeEffect, "changes-take-effect", "a hit handler may change registers and PC"},
    {Promise::HandlersMayJump, "handlers-may-longjmp",
     "a signal handler that interrupts a hit may leave by siglongjmp"},
    {Promise::ThreadsMayEnd, "threads-may-end", "a thread may end at any point of a hit"},
    {Promise::AltstackKept, "altstack-kept", "the alternate signal stack is as it was"},
    {Promise::SmallStacks, "small-stacks", "a hit needs no room for a signal frame on the stack"},
    {Promise::SigtrapMayBeBlocked, "sigtrap-may-be-blocked", "hits work while the program blocks SIGTRAP"},
    {Promise::SigtrapMayBeTaken, "sigtrap-may-be-taken",
     "hits work after the program installed a SIGTRAP handler"},
    {Promise::AnyThreadPointer, "any-thread-pointer", "hits work while the program has moved its fs base"},
    {Promise::VforkSafe, "vfork-safe", "a child that shares the memory may hit probes"},
    {Promise::SyscallsUndisturbed, "syscalls-undisturbed",
     "no blocking system call returns or restarts because of the prober"},
    {Promise::UnmappingSafe, "unmapping-safe", "the program may unmap or remap probed pages"},
    {Promise::RseqIntact, "rseq-intact",
     "restartable sequences with a probe inside still commit, and lose no update"},
    {Promise::ProbesInOwnPath, "probes-in-own-path", "code the prober itself uses may be probed"},
    {Promise::HelperMayDie, "helper-may-die", "SIGKILL of a helper process leaves the program running"},
});
constexpr const auto& rows_of(Promise) noexcept {
  return kPromises;
}

class Promises {
public:
  static Promises all() noexcept { return Promises{}; }
  static Promises all_but(std::initializer_list<Promise> broken) noexcept {
    Promises p;
    for (const Promise b : broken)
      p.kept_.reset(static_cast<std::size_t>(b));
    return p;
  }

  bool has(Promise p) const noexcept { return kept_.test(static_cast<std::size_t>(p)); }
  // The promises of a composition: those that each of its parts makes.
  Promises operator&(const Promises& other) const noexcept {
    Promises both = *this;
    both.kept_ &= other.kept_;
    return both;
  }
  // These besides: something other than the parts keeps them.
  Promises with(std::initializer_list<Promise> given) const noexcept {
    Promises more = *this;
    for (const Promise g : given)
      more.kept_.set(static_cast<std::size_t>(g));
    return more;
  }
  bool operator==(const Promises&) const = default;

private:
  Promises() noexcept { kept_.set(); }
  std::bitset<kPromises.size()> kept_;
};

} // namespace proberace
