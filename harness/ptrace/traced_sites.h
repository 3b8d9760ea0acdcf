// The sites of a traced process and their hits, known to the supervisor alone: one thread, so no lock and no
// atomics.
//
// Records never go away before the supervisor does: a trap on a probe that was removed meanwhile, or the copy
// of one in a forked child, still finds what it was.
#pragma once

#include "harness/probe/stepper.h"

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

namespace proberace {

struct TracedSite {
  Displaced displaced;
  std::size_t index = 0;
  bool live = false;
  const TracedSite* older = nullptr; // the record of this very site before: its bytes were others
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

  void count(const TracedSite& site, pid_t thread) noexcept;
  std::uint64_t hits(const Site& site) const;
  std::uint64_t hits(const Site& site, pid_t thread) const;
  // Of every thread that hit, ended ones included, by thread id.
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
  std::unordered_map<pid_t, std::vector<std::uint64_t>> hits_; // by thread, then by index
  PathCounts paths_;
};

} // namespace proberace
