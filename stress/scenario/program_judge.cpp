// What a program's run is held to, once its threads have ended.
#include "harness/base/process_memory.h"
#include "stress/code/probed_code.h"
#include "stress/scenario/program_properties.h"
#include "stress/scenario/program_run.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

Tally ProgramRun::of_thread(std::size_t thread, std::size_t site) const {
  Tally sum = scratch_.tallies[thread][site];
  sum += scratch_.tallies[ProgramScratch::handler_row(thread)][site];
  sum += scratch_.tallies[ProgramScratch::nested_row(thread)][site];
  return sum; // threads it started are threads of their own
}

std::optional<Verdict> ProgramRun::judge_faults() const {
  for (std::size_t row = 0; row < ProgramScratch::kRows; ++row) {
    const FaultNote& note = scratch_.notes[row];
    const Fault fault = note.fault.load(std::memory_order_acquire); // pairs with Worker::report
    if (fault == Fault::None)
      continue;
    const std::size_t thread = row % kMaxProgramThreads;
    Verdict v = broken(std::string(name(fault)),
                       fmt::format("{} on thread {}{}, site {} ({}): hit {} times", name(fault), thread,
                                   row == thread                                ? ""
                                   : row == ProgramScratch::handler_row(thread) ? " in a signal handler"
                                   : row == ProgramScratch::nested_row(thread)  ? " in its hit handler"
                                                                                : " in a thread it started",
                                   note.site, program_.bodies[note.site].body, note.hits));
    v.evidence =
        Json{{"thread", thread},
             {"in_signal_handler", row == ProgramScratch::handler_row(thread)},
             {"site", note.site},
             {"execution", note.ticket},
             {"hits", note.hits},
             {"result", note.result},
             {"expected_result", expected_result(note.ticket)},
             {"step", scratch_.noted_at[row] == 0 ? Json(nullptr) : Json(scratch_.noted_at[row] - 1)}};
    return v;
  }
  return std::nullopt;
}

std::optional<Verdict> ProgramRun::judge_observed() const {
  for (std::size_t t = 0; t <= threads(); ++t) {
    if (const Observed& o = observed_[t]; o.at != 0) {
      Verdict v = broken(o.property, o.summary);
      v.evidence = Json{{"thread", t}, {"step", o.at - 1}};
      return v;
    }
    if (t < threads() && scratch_.signals_sent[t] != scratch_.signals_handled[t])
      return broken(broken_property::kLostSignal,
                    fmt::format("thread {} was sent {} signals and handled {}: it blocks them", t,
                                scratch_.signals_sent[t], scratch_.signals_handled[t]));
  }
  return std::nullopt;
}

std::optional<Verdict> ProgramRun::judge_counts() const {
  if (handled_after_removal_.load(std::memory_order_relaxed)) // no thread runs
    return broken(broken_property::kHandledAfterRemoval,
                  "the hit handler was called for a site whose removal had returned");
  const auto wrong = [&](std::size_t site, const std::string& whose, std::uint64_t hits, const Tally& tally) {
    Verdict v = broken(std::string(name(Fault::WrongCount)),
                       fmt::format("site {} ({}), {}: {} hits, where {} must and {} may have counted", site,
                                   program_.bodies[site].body, whose, hits, tally.must, tally.may()));
    v.evidence = Json{{"site", site}, {"hits", hits}, {"must", tally.must}, {"may", tally.may()}};
    return v;
  };
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    Tally all;
    for (std::size_t t = 0; t < threads(); ++t) {
      const Tally tally = of_thread(t, s);
      all += tally;
      const auto hits = prober_->hits(sites_[s], scratch_.threads[t]);
      if (hits && scratch_.threads[t] != 0 && !tally.admits(*hits - base_[t][s]))
        return wrong(s, fmt::format("thread {}", t), *hits - base_[t][s], tally);
    }
    for (std::size_t t = 0; t < threads(); ++t)
      all += scratch_.tallies[ProgramScratch::spawned_row(t)][s];
    const std::uint64_t hits = prober_->hits(sites_[s]) - base_.back()[s];
    if (!all.admits(hits))
      return wrong(s, "all threads", hits, all);
  }
  return std::nullopt;
}

// Nothing is armed: the bytes are the file's, and executions do not count.
std::optional<Verdict> ProgramRun::judge_bytes() {
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    const PlacedBody& placed = text_.bodies()[s];
    std::vector<std::uint8_t> now(placed.body->bytes());
    const bool readable = read_memory(placed.entry, now);
    if (!readable || !std::equal(now.begin(), now.end(), placed.body->code))
      return broken(
          std::string(name(Fault::NotRestored)),
          fmt::format("site {} ({}): its bytes are not back after removal", s, program_.bodies[s].body));
    const std::uint64_t hits = prober_->hits(sites_[s]);
    workers_[0].execute(s);
    if (prober_->hits(sites_[s]) != hits)
      return broken(std::string(name(Fault::MovedWhileClear)),
                    fmt::format("site {} ({}) was clear, and its count moved", s, program_.bodies[s].body));
  }
  return std::nullopt;
}

std::optional<Verdict> ProgramRun::judge() {
  if (auto wrong = judge_faults())
    return wrong;
  if (auto wrong = judge_observed())
    return wrong;
  if (auto wrong = judge_counts())
    return wrong;
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    hits_ += prober_->hits(sites_[s]) - base_.back()[s];
    for (const auto& row : scratch_.tallies)
      all_ += row[s];
  }
  std::vector<std::size_t> armed;
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (SiteState::armed(scratch_.states[s].read()))
      armed.push_back(s);
  Operations& operations = operations_.back();
  if (!armed.empty()) {
    const std::uint64_t before = operations.removed;
    operate(threads(), ActKind::Remove, armed);
    if (operations.removed - before != armed.size())
      return broken(broken_property::kRemoval, operations.refusal ? describe(*operations.refusal)
                                                                  : "a probe that is armed was not removed");
  }
  if (auto wrong = judge_bytes())
    return wrong;
  return judge_faults(); // of the executions since
}

} // namespace proberace
