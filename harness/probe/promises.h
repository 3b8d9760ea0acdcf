// What a strategy says of itself, as data. A property judges what is observed against it: a broken promise is
// a failure, an unpromised breakage a finding. A strategy promises only what it has a mechanism for.
#pragma once

#include <array>
#include <bitset>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace proberace {

enum class Promise {
  ExactCounts,           // with several threads, each execution of an armed site is counted exactly once
  InsertionWhileRunning, // insert needs no thread to hold still
  RemovalWhileRunning,   // nor does remove
  StackOperands,         // instructions that use the stack pointer
  RipRelative,           // instructions with a RIP-relative operand
  AllControlFlow,        // jumps, calls, returns, loops, taken and not
  SignalsSeeOriginalPc,  // an asynchronous signal's handler never sees the PC in a slot
  FaultsSeeOriginalPc,   // nor does the handler of a fault the displaced instruction raised
  Reentrant,             // a hit handler may itself execute probed code
  ForkSafe,              // a forked child runs on, and its hits are not the parent's
  NoAddedMapping,        // while armed, the process has the mappings it had
  NoWritableExecutable,  // nothing is ever writable and executable
  FileBackedText,        // works on the text of libraries and programs
  RedZoneIntact,         // the 128 bytes below rsp are as they were
  VectorStateIntact,     // vector, x87 and MXCSR state is as it was
  AnyFlags,              // hits work with DF, AC, NT or the program's own TF set, and keep them
  OwnTrapsDelivered,     // the program's own int3, two-byte int 3 and single steps reach its handler
  ChangesTakeEffect, // what a hit handler writes to the registers and the PC is what the thread goes on with
  HandlersMayJump,   // a signal handler that interrupts a hit may leave by siglongjmp
  ThreadsMayEnd,     // a thread may end, or be cancelled, at any point of a hit
  AltstackKept,      // the alternate signal stack, SS_AUTODISARM or not, is as it was
  SmallStacks,       // a hit needs no room for a signal frame on the thread's stack
  SigtrapMayBeBlocked, // hits work, and are counted, while the program blocks SIGTRAP
  SigtrapMayBeTaken,   // ... after the program has installed its own SIGTRAP handler
  AnyThreadPointer,    // ... while the program has changed its fs base
  VforkSafe,           // a child that shares the memory (vfork, posix_spawn) may hit probes
  SyscallsUndisturbed, // blocking system calls neither return EINTR nor restart because of the prober
  UnmappingSafe,       // the program may unmap or remap probed pages
  RseqIntact,          // probes do not break restartable sequences around them
  ProbesInOwnPath,     // code the prober itself uses (libc, the hit handler) may be probed
  HelperMayDie,        // SIGKILL of a process the prober started leaves the program running on
};

inline constexpr std::size_t kPromiseCount = 31;

struct PromiseText {
  Promise promise;
  std::string_view name;     // stable: the case in results' promise rows
  std::string_view sentence; // for people
};

// Every promise once, in the order of the enumeration.
const std::array<PromiseText, kPromiseCount>& all_promises() noexcept;
std::string_view name(Promise promise) noexcept;
std::optional<Promise> promise_named(std::string_view name) noexcept;

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
  // What a composition promises: what each of its parts does.
  Promises operator&(const Promises& other) const noexcept {
    Promises both = *this;
    both.kept_ &= other.kept_;
    return both;
  }
  bool operator==(const Promises&) const = default;

private:
  Promises() noexcept { kept_.set(); }
  std::bitset<kPromiseCount> kept_;
};

} // namespace proberace
