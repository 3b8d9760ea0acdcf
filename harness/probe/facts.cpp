#include "harness/probe/facts.h"

#include <algorithm>

namespace proberace {

namespace {

// Alike for both ways of putting two together: what one of them does may happen, what one lacks is lacking.
Facts joined(const Facts& a, const Facts& b) noexcept {
  Facts both;
  both.paths = a.paths | b.paths;
  both.traps = std::max(a.traps, b.traps);
  both.handled_by = std::max(a.handled_by, b.handled_by);
  both.removal = std::max(a.removal, b.removal);
  both.schedulable = a.schedulable && b.schedulable;
  both.counts_threads = a.counts_threads && b.counts_threads;
  both.selective = a.selective || b.selective;
  both.composed = a.composed || b.composed;
  both.machine_wide = a.machine_wide || b.machine_wide;
  both.stops_threads = a.stops_threads || b.stops_threads;
  both.threads_must_answer = a.threads_must_answer || b.threads_must_answer;
  both.keeps_mappings = a.keeps_mappings || b.keeps_mappings;
  both.gives_pages_back = a.gives_pages_back || b.gives_pages_back;
  both.most_sites = a.most_sites && b.most_sites ? std::min(a.most_sites, b.most_sites)
                    : a.most_sites               ? a.most_sites
                                                 : b.most_sites;
  return both;
}

} // namespace

std::vector<std::string_view> PathSet::names() const {
  std::vector<std::string_view> all;
  for (std::size_t p = 0; p < kPathCount; ++p)
    if (has(static_cast<Path>(p)))
      all.push_back(name(static_cast<Path>(p)));
  return all;
}

Facts Facts::operator&(const Facts& other) const noexcept {
  return joined(*this, other);
}

Facts Facts::operator|(const Facts& other) const noexcept {
  Facts either = joined(*this, other);
  // A fact that one of them does not state is not known of both.
  if (paths.empty() || other.paths.empty())
    either.paths = {};
  if (traps != other.traps)
    either.traps = Traps::SomeHits;
  // An instruction that one refuses the other may take.
  either.selective = selective && other.selective;
  either.composed = true;
  either.gives_pages_back = gives_pages_back && other.gives_pages_back;
  return either;
}

} // namespace proberace
