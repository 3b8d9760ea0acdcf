// Writing jumps over code that others may be executing: int3 first.
//
// The order is Linux's own (arch/x86/kernel/alternative.c, smp_text_poke_batch_finish, formerly
// text_poke_bp_batch): int3 on the first byte; every core serialises; the other bytes; serialise; the first
// byte; serialise. While the int3 is there no thread passes, so it does not matter that the tail is written
// under another core's fetch, or in pieces where it crosses a cache line or a page (H17). What it rests on:
// one byte is fetched whole, old or new, and a core that has executed a serialising instruction since fetches
// the new. The manuals ask for more (SDM vol. 3A, 9.1.3, wants the executing cores to wait; AMD APM vol.
// 2, 7.6.1, allows it for one aligned quadword); vendor assurance is what the kernel's comment on the second
// step reports: "According to Intel, this core syncing is very likely not necessary and we'd be safe even
// without it." The three serialisations are one each a batch.
#pragma once

#include "strategies/whole/jump_site.h"

#include <optional>

namespace proberace {

struct PatchWrite {
  JumpSite* site = nullptr;
  std::optional<Error> error{};
  bool int3_written = false;    // once the first step is done
  bool has_springboard = false; // of a removal: it is there to be taken back
};

// A write that fails says so in its `error` and leaves the others unaffected. On return the bytes are in
// memory and cores have serialised. What fails is undone as far as it can be written.
void write_jumps(std::span<PatchWrite> batch);
// What fails stays as far as it got, with the int3 in front: threads that meet it go on in the trampoline,
// the site is still armed, and can be removed again.
void write_originals(std::span<PatchWrite> batch);
// The springboard of a site whose jump is not there any more (H15): what is still there of it.
void take_springboard_back(const JumpSite& site);

} // namespace proberace
