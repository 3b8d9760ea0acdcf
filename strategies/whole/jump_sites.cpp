#include "strategies/whole/jump_sites.h"

#include "harness/probe/refuse.h"
#include "strategies/whole/trampoline.h"

#include <algorithm>

namespace proberace {

bool jump_is_there(CodePages& now, const JumpSite& s) {
  return now.holds(s.site.address, std::span(s.patch.bytes).first(s.patch.written));
}

bool site_is_ours(CodePages& now, const JumpSite& s) {
  // Relaxed: only the controller writes it.
  const bool half_way = (s.patching.load(std::memory_order_relaxed) & 1) != 0;
  return jump_is_there(now, s) || (half_way && now.holds(s.site.address, {&kInt3, 1}));
}

bool can_be_armed(const CodeView& view, const JumpSite& s) {
  const auto spelled =
      std::span(s.patch.bytes).first(std::max(s.patch.extent, s.patch.written)).subspan(s.patch.written);
  return !view.target.holds_probe(s.site.address, std::max(s.patch.extent, s.instruction.length)) &&
         view.code.holds(s.site.address + s.patch.written, spelled);
}

std::expected<JumpSite*, Error> JumpSites::make(JumpSession& session, const CodeView& view, const Site& site,
                                                const Instruction& instruction,
                                                std::optional<std::uint32_t> index) {
  if (sites_.size() == kMaxJumpSites)
    return refuse::too_many_sites(site.address, kMaxJumpSites);
  JumpSite& made = sites_.emplace_back();
  made.site = site;
  made.instruction = instruction;
  made.index = index.value_or(static_cast<std::uint32_t>(sites_.size() - 1));
  Status built = build_trampoline(trampolines_, made);
  if (built) {
    auto patch = choose_patch({view, trampolines_, springboards_}, made);
    if (patch)
      made.patch = *patch;
    else
      built = std::unexpected(patch.error());
  }
  if (!built) {
    sites_.pop_back(); // no thread was ever sent to it
    return std::unexpected(built.error());
  }
  session.threads.sites_in_use(static_cast<std::uint32_t>(sites_.size()));
  // It cannot be full: it holds two addresses for each of kMaxJumpSites.
  (void)session.table.add(site.address, &made);
  if (made.patch.springboard != Address{}) {
    springboards_.insert(made.patch.springboard);
    (void)session.table.add(made.patch.springboard, &made);
  }
  return &made;
}

void JumpSites::release_all() noexcept {
  trampolines_.release_all();
  sites_.clear();
  springboards_.clear();
}

void JumpSites::abandon() {
  trampolines_.abandon();
  (void)new std::deque<JumpSite>(std::move(sites_)); // trampolines hold their addresses
}

} // namespace proberace
