// Writes jumps over code that other threads may be executing: int3 first.
//
// Idea: the order is Linux's own (arch/x86/kernel/alternative.c, smp_text_poke_batch_finish, formerly
// text_poke_bp_batch): int3 on the first byte; every core serialises; the other bytes; serialise; the first
// byte; serialise. While the int3 is there no thread passes, so it does no harm that the tail is written
// under another core's fetch, or in pieces where it crosses a cache line or a page (H17). The order relies on
// two facts: one byte is fetched whole, old or new; and a core that has executed a serialising instruction
// since fetches the new one. The manuals ask for more (SDM vol. 3A, 9.1.3, wants the executing cores to wait;
// AMD APM vol. 2, 7.6.1, allows it for one aligned quadword). The vendors' assurance is reported by the
// kernel's comment on the second step: "According to Intel, this core syncing is very likely not necessary
// and we'd be safe even without it." Trade-off: a batch costs three serialisations.
#pragma once

#include "strategies/whole/jump_site.h"

#include <optional>

namespace proberace {

struct PatchWrite {
  JumpSite* site = nullptr;
  std::optional<Error> error{};
  bool int3_written = false;    // the first step is done
  bool has_springboard = false; // in a removal: the springboard is there to be taken back
};

// A write that fails sets its `error` and leaves the others unaffected. On return the bytes are in memory and
// cores have serialised. A write that fails is undone as far as memory can be written.
void write_jumps(std::span<PatchWrite> batch);
// A write that fails stays half done, with the int3 in front: threads that meet it continue in the
// trampoline, the site is still armed, and can be removed again.
void write_originals(std::span<PatchWrite> batch);
// Takes back what is left of the springboard of a site whose jump is not there any more (H15).
void take_springboard_back(const JumpSite& site);

} // namespace proberace
