// All sites that a `jump` prober has made between open and close: their trampolines, patches and
// springboards.
#pragma once

#include "strategies/whole/jump_patch.h"
#include "strategies/whole/trampoline_space.h"

#include <deque>
#include <optional>

namespace proberace {

class JumpSites {
public:
  // Makes a site that is ready to be armed: it has its trampoline, and the session's table knows it. `index`
  // is where its hits are counted, if it was armed before. Conflict, NoRoom, InstructionUnsupported.
  std::expected<JumpSite*, Error> make(JumpSession& session, const CodeView& view, const Site& site,
                                       const Instruction& instruction, std::optional<std::uint32_t> index);

  // True if a thread at this address runs our code, or has just trapped in it. Thread-safe while no site is
  // made.
  bool runs_at(Address a) const {
    return trampolines_.contains(a) || springboards_.contains(a) || springboards_.contains(a - 1);
  }
  TrampolineSpace& trampolines() noexcept { return trampolines_; }
  const TrampolineSpace& trampolines() const noexcept { return trampolines_; }
  std::size_t size() const noexcept { return sites_.size(); }

  // Precondition: no thread is in a trampoline, and none can be sent to one.
  void release_all() noexcept;
  // Leaves everything mapped for threads that may still be inside, until the process ends.
  void abandon();

private:
  TrampolineSpace trampolines_;
  std::deque<JumpSite> sites_;     // never moved: trampolines hold their addresses
  std::set<Address> springboards_; // every one that was ever given out
};

// True if a site that was made earlier can be armed as it is: its bytes are free, and those behind a pun
// still spell its landing.
bool can_be_armed(const CodeView& view, const JumpSite& site);
// True if the jump is in memory.
bool jump_is_there(CodePages& now, const JumpSite& site);
// True if the bytes in memory are the site's: the jump, or the int3 of a removal that failed half-way.
bool site_is_ours(CodePages& now, const JumpSite& site);

} // namespace proberace
