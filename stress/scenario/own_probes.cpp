#include "stress/scenario/own_probes.h"

#include "harness/base/process_memory.h"
#include "stress/scenario/broken_properties.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace proberace {

void OwnProbes::note(std::string property, std::string_view what) const {
  run_.note(thread_, std::move(property), fmt::format("{}: {}", words_, what));
}

void OwnProbes::call(Address entry, std::string_view when) const {
  Worker& self = run_.workers_[run_.rows_.own(thread_)];
  if (const Fault fault = self.execute_at(entry); fault != Fault::None)
    note(property_name(fault), when);
}

void OwnProbes::judge(const Status& result, bool insert, const Body& body, std::string_view which) const {
  // Nobody else operates there, so its state is known.
  const bool otherwise = !result && (result.error().kind == ErrorKind::AlreadyArmed ||
                                     result.error().kind == ErrorKind::NotArmed);
  if (!result && (otherwise || run_.breaks(result.error().kind, insert, body)))
    note(property_name(insert ? BrokenProperty::Refused : BrokenProperty::Removal),
         fmt::format("{}{}", which, describe(result.error())));
}

void OwnProbes::judge_hits(std::uint64_t hits, std::uint64_t wanted, std::string_view when) const {
  if (hits != wanted && prober().promises().has(Promise::ExactCounts))
    note(property_name(Fault::WrongCount), fmt::format("{} hits, not {}, {}", hits, wanted, when));
}

void OwnProbes::judge_bytes(Address start, std::span<const std::uint8_t> wanted) const {
  std::vector<std::uint8_t> now(wanted.size());
  if (!read_memory(start, now) || !std::ranges::equal(now, wanted))
    note(property_name(Fault::NotRestored), "its bytes are not its own");
}

void OwnProbes::keep(Text text) const {
  run_.kept_texts_[thread_].push_back(std::move(text));
}

bool is_left_armed(const Status& removed) noexcept {
  return !removed && removed.error().kind == ErrorKind::ThreadWouldNotStop;
}

} // namespace proberace
