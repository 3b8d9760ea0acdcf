// Chooses how a site becomes a jump.
//
// An instruction of five bytes or more holds a jmp rel32. A shorter one is punned (Chamith, Svensson,
// Dalessandro, Newton, "Instruction Punning", PLDI 2017): only its own bytes are written, the bytes of the
// instructions behind it serve as the rest of the rel32, and the landing is put at the address that they
// spell. Prefixes that mean nothing to a jmp move the window (Duck, Gao, Roychoudhury, "Binary Rewriting
// without Control Flow Recovery", PLDI 2020, "padded jumps"). If no landing is free, the site becomes a jmp
// rel8 to a jmp rel32 in int3 padding between functions. Padding of nops is not used: a thread that is still
// on its way there when the padding is put back would run on through it; an int3 stops it. Trade-off: a pun
// breaks if another tool changes the bytes behind it.
#pragma once

#include "harness/base/code_pages.h"
#include "harness/code/target.h"
#include "strategies/whole/jump_site.h"
#include "strategies/whole/trampoline_space.h"

#include <map>
#include <set>

namespace proberace {

// The target as a batch of insertions sees it: as it was before the batch.
struct CodeView {
  const Target& target;
  const AddressSpace& space;
  CodePages& code;
};

struct PatchPlace {
  CodeView view;
  TrampolineSpace& trampolines;
  std::set<Address>& springboards; // every one that was ever given out
};

// Precondition: the site has its trampoline. Conflict, InstructionUnsupported.
std::expected<Patch, Error> choose_patch(const PatchPlace& place, const JumpSite& site);

} // namespace proberace
