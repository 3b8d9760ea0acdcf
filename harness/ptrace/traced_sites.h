// The sites of a traced process and their hits. Only the supervisor's one thread uses them, so there are no
// locks and no atomics.
//
// A record stays until the supervisor ends: a trap on a probe that was removed meanwhile, or on the copy of
// one in a forked child, still finds its record.
#pragma once

#include "harness/probe/stepper.h"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace proberace {

struct TracedSite {
  Displaced displaced;
  std::optional<Displaced> out_of_line{}; // see TrapStops
  std::size_t index = 0;
  bool live = false;
  const TracedSite* older = nullptr; // the same site's earlier record, of other bytes
};

class TracedSites {
public:
  TracedSite& add(Displaced displaced);
  // The newest at this address, live or dead; null if there never was one.
  TracedSite* at(Address address) noexcept;
  // The newest of this very site.
  TracedSite* find(const Site& site) noexcept;
  std::deque<TracedSite>& all() noexcept { return records_; }
  const std::deque<TracedSite>& all() const noexcept { return records_; }

  // The site whose slot (StepPlan::jump_slot) holds this address; null if none does.
  TracedSite* in_slot(Address address) noexcept;

  void count(const TracedSite& site, pid_t thread) noexcept;
  // Takes back a hit whose instruction will be executed from the site again. Precondition: count() before.
  void uncount(const TracedSite& site, pid_t thread) noexcept { --hits_[thread][site.index]; }
  std::uint64_t hits(const Site& site) const;
  std::uint64_t hits(const Site& site, pid_t thread) const;
  // Of every thread that hit, also of those that have ended, by thread id.
  std::map<pid_t, std::uint64_t> hits_by_thread(const Site& site) const;

  void took(Path path) noexcept { ++paths_.taken[static_cast<std::size_t>(path)]; }
  const PathCounts& paths() const noexcept { return paths_; }

private:
  template <typename F> void for_each_count(const Site& site, F&& f) const {
    const auto newest = by_site_.find(site);
    for (const TracedSite* r = newest != by_site_.end() ? newest->second : nullptr; r != nullptr;
         r = r->older)
      for (const auto& [thread, counts] : hits_)
        if (r->index < counts.size() && counts[r->index] != 0)
          f(thread, counts[r->index]);
  }

  std::deque<TracedSite> records_; // addresses are stable
  std::unordered_map<std::uintptr_t, TracedSite*> by_address_;
  std::map<Site, TracedSite*> by_site_;
  std::map<Address, TracedSite*> by_slot_;
  std::unordered_map<pid_t, std::vector<std::uint64_t>> hits_; // by thread, then by index
  PathCounts paths_;
};

} // namespace proberace
