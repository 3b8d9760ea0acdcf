#include "harness/ptrace/traced_sites.h"

namespace proberace {

TracedSite& TracedSites::add(Displaced displaced) {
  TracedSite& record =
      records_.emplace_back(TracedSite{.displaced = std::move(displaced), .index = records_.size()});
  by_address_[value(record.displaced.site.address)] = &record;
  TracedSite*& newest = by_site_[record.displaced.site];
  if (const StepPlan* const plan = record.displaced.plan.get();
      plan != nullptr && plan->jump_slot() != Address{})
    by_slot_[plan->jump_slot()] = &record;
  record.older = newest;
  newest = &record;
  return record;
}

TracedSite* TracedSites::at(Address address) noexcept {
  const auto it = by_address_.find(value(address));
  return it != by_address_.end() ? it->second : nullptr;
}

TracedSite* TracedSites::find(const Site& site) noexcept {
  const auto it = by_site_.find(site);
  return it != by_site_.end() ? it->second : nullptr;
}

TracedSite* TracedSites::in_slot(Address address) noexcept {
  const auto behind = by_slot_.upper_bound(address);
  if (behind == by_slot_.begin() || address - std::prev(behind)->first >= std::ptrdiff_t{kMaxSlotBytes})
    return nullptr;
  return std::prev(behind)->second;
}

void TracedSites::count(const TracedSite& site, pid_t thread) noexcept {
  std::vector<std::uint64_t>& counts = hits_[thread];
  if (counts.size() <= site.index)
    counts.resize(records_.size());
  ++counts[site.index];
}

std::uint64_t TracedSites::hits(const Site& site) const {
  std::uint64_t sum = 0;
  for_each_count(site, [&](pid_t, std::uint64_t n) { sum += n; });
  return sum;
}

std::uint64_t TracedSites::hits(const Site& site, pid_t thread) const {
  std::uint64_t sum = 0;
  for_each_count(site, [&](pid_t t, std::uint64_t n) { sum += t == thread ? n : 0; });
  return sum;
}

std::map<pid_t, std::uint64_t> TracedSites::hits_by_thread(const Site& site) const {
  std::map<pid_t, std::uint64_t> all;
  for_each_count(site, [&](pid_t t, std::uint64_t n) { all[t] += n; });
  return all;
}

} // namespace proberace
