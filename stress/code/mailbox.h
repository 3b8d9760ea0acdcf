// One execution's ticket, checked by the hit handler: each execution is known to have been hit once, twice or
// not at all, and a report can name the one that was lost.
#pragma once

#include "harness/probe/prober.h"
#include "harness/probe/trap_context.h"

#include <cstdint>

namespace proberace {

class RecordRing;

// The body `load` reads this word, unless it is to fault (body.h).
inline constexpr std::uint64_t kNothingToAdd = 0;

// Words that threads share, each in a cache line of its own. The bodies know where they lie.
struct SharedWords {
  alignas(64) volatile std::uint64_t sum = 0; // `xadd-shared` and `cmpxchg-shared` add to it
  alignas(64) volatile std::uint64_t swapped =
      0;                                        // `xchg-shared` takes it, and leaves what it has taken before
  alignas(64) volatile std::uint64_t whole = 0; // all zeros or all ones: `store-shared` and `load-shared`
};
inline SharedWords nobodys_words; // of executions that nobody judges

// Written and read on one thread only, by the worker and by the handler that interrupts it. The calling code
// knows where its members lie.
struct Mailbox {
  static constexpr std::uint64_t kMagic = 0x70726f6265726163;

  std::uint64_t magic = kMagic;
  volatile std::uint64_t ticket = 0;
  volatile std::uint64_t hits = 0;    // of this ticket
  volatile std::uint64_t strays = 0;  // hits whose register did not hold the ticket: a wrong register context
  RecordRing* log = nullptr;          // of this thread, if hits are logged
  volatile std::uint64_t changed = 0; // what hit handlers have added to r8 during this execution
  volatile std::uint64_t skipped = 0; // how often they have set the PC to proberace_skip_body
  const void* load_from = &kNothingToAdd; // rsi
  std::uint64_t wide = 0;                 // 1: this CPU has AVX2, and whole ymm registers are looked at
  volatile std::uint64_t scratch = 0;     // of bodies that write somewhere
  SharedWords* shared = &nobodys_words;
  volatile std::uint64_t added = 0; // to shared->sum
  volatile std::uint64_t held = 0;  // what it has of shared->swapped
};

// The mailbox of the execution that was hit; null if the registers are not those of an execution.
// signal-safe.
inline Mailbox* mailbox_of(const Hit& hit) noexcept {
  auto* const mailbox = reinterpret_cast<Mailbox*>(hit.context.get(Register::R10));
  return mailbox->magic == Mailbox::kMagic ? mailbox : nullptr;
}

// signal-safe. r10 is the mailbox, r11 the ticket (body.h). Returns the thread's log; null if there is none,
// or the registers are not those of an execution.
inline RecordRing* stamp_ticket(Hit& hit) noexcept {
  Mailbox* const mailbox = mailbox_of(hit);
  if (mailbox == nullptr)
    return nullptr;
  if (hit.context.get(Register::R11) == mailbox->ticket)
    mailbox->hits = mailbox->hits + 1;
  else
    mailbox->strays = mailbox->strays + 1;
  return mailbox->log;
}
// A HitHandler.
inline void stamp_ticket(Hit& hit, void*) {
  (void)stamp_ticket(hit);
}

// Calls the code at `entry` by body.h's convention. Every register that no body changes is checked to be
// kept, vector registers, MXCSR and the x87 control word among them: the result is ~0 if one was not.
extern "C" std::uint64_t proberace_call_body(const void* entry, std::uint64_t input, std::uint64_t ticket,
                                             Mailbox* mailbox);

// The same without the checks. For measurements: a change of MXCSR's rounding mode, twice a call, costs over a
// microsecond on some processors, which is more than a trap.
extern "C" std::uint64_t proberace_call_body_lightly(const void* entry, std::uint64_t input,
                                                     std::uint64_t ticket, Mailbox* mailbox);

// A hit handler may set the PC to here in a body that has not touched the stack yet: the rest of the body is
// left out, with the result it would have had. Counted in `skipped`.
extern "C" void proberace_skip_body();

} // namespace proberace
