// One execution's ticket, checked by the hit handler: each execution is known to have been hit once, twice or
// not at all, and a report can name the one that was lost.
#pragma once

#include "harness/probe/prober.h"
#include "harness/probe/trap_context.h"

#include <cstdint>

namespace proberace {

class RecordRing;

// Written and read on one thread only, by the worker and by the handler that interrupts it.
struct Mailbox {
  static constexpr std::uint64_t kMagic = 0x70726f6265726163;

  std::uint64_t magic = kMagic;
  volatile std::uint64_t ticket = 0;
  volatile std::uint64_t hits = 0;   // of this ticket
  volatile std::uint64_t strays = 0; // hits whose register did not hold the ticket: a wrong register context
  RecordRing* log = nullptr;         // of this thread, if hits are logged
};

// signal-safe. r10 is the mailbox, r11 the ticket (body.h). Returns the thread's log; null if there is none,
// or the registers are not those of an execution.
inline RecordRing* stamp_ticket(Hit& hit) noexcept {
  auto* const mailbox = reinterpret_cast<Mailbox*>(hit.context.get(Register::R10));
  if (mailbox->magic != Mailbox::kMagic)
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

// Calls the code at `entry` by body.h's convention; the registers a callee must keep are checked to be kept:
// the result is ~0 if one was not.
extern "C" std::uint64_t proberace_call_body(const void* entry, std::uint64_t input, std::uint64_t ticket,
                                             Mailbox* mailbox);

} // namespace proberace
