#include "strategies/whole/jump_ledger.h"

#include <algorithm>
#include <numeric>

namespace proberace {

namespace {

std::uint64_t sum(const JumpLedger::Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t all, const auto& c) { return all + c.second; });
}

std::uint64_t of(const JumpLedger::Counts& counts, pid_t thread) {
  const auto it = counts.find(thread);
  return it != counts.end() ? it->second : 0;
}

} // namespace

void JumpLedger::begin(const Counts& raw) {
  for (const auto& [thread, count] : raw)
    if (const std::uint64_t before = of(frozen_, thread); thread != 0 && count > before)
      late_[thread] += count - before;
  late_sum_ += sum(raw) - sum(frozen_);
  armed_ = true;
}

void JumpLedger::end(Counts raw) {
  frozen_ = std::move(raw);
  armed_ = false;
}

std::uint64_t JumpLedger::total(const Counts& raw) const {
  return sum(armed_ ? raw : frozen_) - late_sum_;
}

std::uint64_t JumpLedger::of_thread(const Counts& raw, pid_t thread) const {
  const std::uint64_t counted = of(armed_ ? raw : frozen_, thread);
  return counted - std::min(counted, of(late_, thread));
}

} // namespace proberace
