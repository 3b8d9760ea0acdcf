#include "harness/base/pending_code.h"

#include "harness/base/process_memory.h"

#include <algorithm>

namespace proberace {

namespace {

Address end_of(const std::pair<const Address, std::vector<std::uint8_t>>& run) {
  return run.first + static_cast<std::ptrdiff_t>(run.second.size());
}

void overwrite(std::vector<std::uint8_t>& run, std::ptrdiff_t at, std::span<const std::uint8_t> code) {
  run.resize(std::max(run.size(), static_cast<std::size_t>(at) + code.size()));
  std::ranges::copy(code, run.begin() + at);
}

} // namespace

void PendingCode::add(Address at, std::span<const std::uint8_t> code) {
  const Address end = at + static_cast<std::ptrdiff_t>(code.size());
  const Address page = page_of(at);
  auto first = runs_.upper_bound(at);
  if (first != runs_.begin() && page_of(std::prev(first)->first) == page && end_of(*std::prev(first)) >= at)
    --first;
  else
    first = runs_.emplace_hint(first, at, std::vector<std::uint8_t>());
  overwrite(first->second, at - first->first, code);
  // Runs that began inside the new one, or right behind it.
  for (auto next = std::next(first);
       next != runs_.end() && page_of(next->first) == page && next->first <= end_of(*first);
       next = runs_.erase(next))
    if (end_of(*next) > end) {
      const std::ptrdiff_t known = std::max<std::ptrdiff_t>(0, end - next->first);
      overwrite(first->second, next->first + known - first->first,
                std::span(next->second).subspan(static_cast<std::size_t>(known)));
    }
}

Status PendingCode::flush() {
  Status first_failure;
  for (auto run = runs_.begin(); run != runs_.end();)
    if (const int error = write_code(run->first, run->second); error == 0) {
      run = runs_.erase(run);
    } else {
      if (first_failure)
        first_failure = std::unexpected(
            system_error("cannot write out-of-line code through /proc/self/mem", error, run->first));
      ++run;
    }
  return first_failure;
}

} // namespace proberace
