// Inserting and removing: what the prober answers, and what that must mean for the sites.
#include "stress/code/taking.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

// The count must not move while the site is clear: since this thread last saw it clear, whichever thread
// removed it.
void ScenarioRun::look_whether_still_clear(std::size_t thread, std::size_t body) {
  const std::uint64_t word = scratch_.states[body].read();
  if (closed_ || !SiteState::quiet(word) || SiteState::armed(word))
    return;
  const std::uint64_t hits = prober_->hits(sites_[body]);
  if (scratch_.states[body].read() != word)
    return;
  ClearSite& before = observed_[thread].clear[body];
  if (before.known && before.word == word && before.hits != hits)
    note(
        thread, property_name(Fault::MovedWhileClear),
        fmt::format("site {} was clear, and its count went from {} to {}", name_of(body), before.hits, hits));
  before = {word, hits, true};
}

// True if a refusal breaks the run, because nothing explains it: neither the site nor the threads. On a busy machine
// threads that run free may not stop, or not leave, in time.
bool ScenarioRun::breaks(ErrorKind refusal, bool insert, const Body& body) const noexcept {
  switch (refusal) {
  case ErrorKind::AlreadyArmed:
  case ErrorKind::NotArmed: return false; // judged as a state
  case ErrorKind::ThreadWouldNotStop:
  case ErrorKind::NotQuiescent: return controlled_;
  case ErrorKind::NoPermission:
  case ErrorKind::MachineLacks:
  case ErrorKind::MappingLimit: return !insert;
  case ErrorKind::NoRoom:
    // A thread's own memory has room for some sites, and code that is rewritten makes new ones.
    if (prober_->facts().paths.has(Path::ThreadSlot))
      return !insert;
    [[fallthrough]];
  case ErrorKind::InstructionUnsupported:
  case ErrorKind::MemoryUnsupported:
  case ErrorKind::Conflict: return !insert || must_take(body, prober_->promises(), prober_->facts());
  default: return true;
  }
}

// A closing that gives up on a thread that does not leave leaves executions to be judged as if it went on.
void ScenarioRun::close_while_running(std::size_t thread) {
  if (closed_)
    return;
  std::vector<std::size_t> armed;
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (SiteState::armed(scratch_.states[s].read()))
      armed.push_back(s);
  for (const std::size_t s : armed)
    scratch_.states[s].begin();
  note_paths();
  const Status closed = prober_->close();
  closed_ = closed.has_value(); // else it is tried again at the end
  if (!closed && breaks(closed.error().kind, false, *text_.bodies()[0].body))
    note(thread, property_name(BrokenProperty::Refused), describe(closed.error()));
  if (closed || controlled_)
    for (const std::size_t s : armed)
      scratch_.states[s].end(true);
}

void ScenarioRun::operate(std::size_t thread, bool insert, std::span<const std::size_t> bodies) {
  if (closed_)
    return;
  Operations& operations = operations_[thread];
  ThreadPoint& point = arena_.points[thread];
  std::vector<Site> batch;
  std::vector<std::uint64_t> before;
  for (const std::size_t i : bodies)
    before.push_back(scratch_.states[i].read());
  for (const std::size_t i : bodies) {
    scratch_.states[i].begin();
    batch.push_back(sites_[i]);
  }
  point.pass(insert ? "inserting" : "removing", batch.empty() ? Address{} : batch[0].address);
  const SiteResults results = insert ? prober_->insert(batch) : prober_->remove(batch);
  for (std::size_t k = 0; k < results.size(); ++k) {
    const Status& result = results[k];
    SiteState& state = scratch_.states[bodies[k]];
    const bool told_so =
        !result && result.error().kind == (insert ? ErrorKind::AlreadyArmed : ErrorKind::NotArmed);
    if (!result && !told_so) {
      if (!operations.refusal)
        operations.refusal = result.error();
      if (breaks(result.error().kind, insert, *text_.bodies()[bodies[k]].body))
        note(thread, property_name(BrokenProperty::Refused), describe(result.error()));
    }
    // The probe is gone, but a thread that does not get on may still count its hit: the operation stays in
    // flight, and later executions may count.
    if (!result && result.error().kind == ErrorKind::NotQuiescent && !controlled_)
      continue;
    const std::uint64_t after = state.end(result.has_value());
    if (RecordRing* const log = thread < threads() ? logs_[rows_.own(thread)] : logs_.back())
      log->append(RecordKind::Operated, bodies[k], 0, after);
    if (result)
      ++(insert ? operations.inserted : operations.removed);
    const bool was_armed = SiteState::armed(before[k]);
    if (SiteState::only_one_between(before[k], after) && result.has_value() + told_so == 1 &&
        result.has_value() == (was_armed == insert))
      note(thread, property_name(BrokenProperty::ArmedState),
           fmt::format("site {} was {}, and {} it {}", name_of(bodies[k]), was_armed ? "armed" : "clear",
                       insert ? "inserting" : "removing",
                       result ? "succeeded" : "was told that it " + std::string(insert ? "is" : "is not")));
  }
  point.pass("between operations");
}

void ScenarioRun::end_free_run() {
  std::vector<std::size_t> armed;
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (SiteState::armed(scratch_.states[s].read()))
      armed.push_back(s);
  if (!armed.empty())
    operate(threads(), false, armed);
  for (std::size_t s = 0; s < sites_.size(); ++s)
    look_whether_still_clear(threads(), s);
  if (std::ranges::any_of(scenario_.threads, runs_until_done))
    wait_for_executions(10 * threads()); // after removal: they must not count
  done_.store(true, std::memory_order_relaxed);
}

} // namespace proberace
