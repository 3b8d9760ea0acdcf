// Judges a scenario's run once its threads have ended. One set of properties for both ways of running.
#include "harness/base/json.h"
#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

Tally ScenarioRun::of_thread(std::size_t thread, std::size_t body) const {
  Tally sum = scratch_.tallies[rows_.own(thread)][body];
  sum += scratch_.tallies[rows_.handler(thread)][body];
  sum += scratch_.tallies[rows_.nested(thread)][body];
  return sum; // threads it started are threads of their own
}

std::optional<Verdict> ScenarioRun::judge_faults() const {
  for (std::size_t row = 0; row < rows_.count(); ++row) {
    const FaultNote& note = scratch_.notes[row];
    // pairs with Worker::report
    const Fault fault = note.fault.load(std::memory_order_acquire);
    if (fault == Fault::None)
      continue;
    const std::size_t thread = rows_.thread_of(row);
    const bool in_handler = row == rows_.handler(thread);
    Verdict v =
        broken(property_name(fault),
               fmt::format("{} on thread {}{}, site {}, execution {}: hit {} times{}", name(fault), thread,
                           row == thread                 ? ""
                           : in_handler                  ? " in a signal handler"
                           : row == rows_.nested(thread) ? " in its hit handler"
                                                         : " in a thread it started",
                           name_of(note.site), note.ticket, note.hits,
                           note.count > 1 ? fmt::format(", and {} more failure{}", note.count - 1,
                                                        note.count > 2 ? "s" : "")
                                          : ""));
    v.evidence =
        Json{{"thread", thread},
             {"in_signal_handler", in_handler},
             {"site", note.site},
             {"body", scenario_.bodies[note.site].body},
             {"execution", note.ticket},
             {"hits", note.hits},
             {"result", note.result},
             {"expected_result", expected_result(note.ticket)},
             {"faults", note.count},
             {"step", scratch_.noted_at[row] == 0 ? Json(nullptr) : Json(scratch_.noted_at[row] - 1)}};
    return v;
  }
  return std::nullopt;
}

// In a free run each thread's last look is here, after executions that no thread waited for.
std::optional<Verdict> ScenarioRun::judge_observed() {
  for (std::size_t t = 0; t <= threads(); ++t) {
    for (std::size_t s = 0; s < sites_.size(); ++s)
      if (!controlled_ && observed_[t].clear[s].known)
        look_whether_still_clear(t, s);
    if (const Observed& o = observed_[t]; o.at) {
      Verdict v = broken(o.property, o.summary);
      v.evidence = Json{{"thread", t}, {"step", *o.at}};
      return v;
    }
    if (t < threads() && scratch_.signals_sent[t] != scratch_.signals_handled[t])
      return broken(property_name(BrokenProperty::LostSignal),
                    fmt::format("thread {} was sent {} signals and handled {}: it blocks them", t,
                                scratch_.signals_sent[t], scratch_.signals_handled[t]));
  }
  return std::nullopt;
}

// Per thread and per site where the prober counts threads, per site where it does not.
std::optional<Verdict> ScenarioRun::judge_counts() {
  if (handled_after_removal_.load(std::memory_order_relaxed)) // no thread runs
    return broken(property_name(BrokenProperty::HandledAfterRemoval),
                  "the hit handler was called for a site whose removal had returned");
  const auto wrong = [&](std::size_t site, std::optional<std::size_t> thread, std::uint64_t hits,
                         const Tally& tally) {
    Verdict v = broken(property_name(Fault::WrongCount),
                       fmt::format("site {}, {}: {} hits, where {} must and {} may have counted",
                                   name_of(site), thread ? fmt::format("thread {}", *thread) : "all threads",
                                   hits, tally.must, tally.may()));
    v.evidence = Json{{"site", site}, {"hits", hits}, {"must", tally.must}, {"may", tally.may()}};
    if (thread)
      v.evidence["thread"] = *thread;
    return v;
  };
  for (std::size_t s = 0; s < sites_.size() && !closed_; ++s) { // counts last until then
    Tally all;
    for (std::size_t t = 0; t < threads(); ++t) {
      const Tally tally = of_thread(t, s);
      all += tally;
      all += scratch_.tallies[rows_.spawned(t)][s];
      if (scratch_.threads[t] == 0)
        continue;
      const auto hits = prober_->hits(sites_[s], scratch_.threads[t]);
      judged_per_thread_ = judged_per_thread_ || hits.has_value();
      if (hits && !tally.admits(*hits - base_[t][s]))
        return wrong(s, t, *hits - base_[t][s], tally);
    }
    const std::uint64_t hits = prober_->hits(sites_[s]) - base_.back()[s];
    if (!all.admits(hits))
      return wrong(s, std::nullopt, hits, all);
  }
  return std::nullopt;
}

// Nothing may stay armed that a removal can take away.
std::optional<Verdict> ScenarioRun::judge_removal() {
  std::vector<std::size_t> armed;
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    const std::uint64_t word = scratch_.states[s].read();
    if (SiteState::quiet(word) && SiteState::armed(word))
      armed.push_back(s);
  }
  if (armed.empty())
    return std::nullopt;
  Operations& operations = operations_.back();
  const std::uint64_t before = operations.removed;
  operate(threads(), false, armed);
  if (operations.removed - before == armed.size())
    return std::nullopt;
  return broken(property_name(BrokenProperty::Removal),
                operations.refusal ? describe(*operations.refusal) : "a probe that is armed was not removed");
}

// Nothing is armed: the bytes are the file's, and executions do not count.
std::optional<Verdict> ScenarioRun::judge_bytes() {
  SharedWords apart; // what is added here is nobody's
  const Worker::Shared shared{text_, scratch_.states, tickets_, executions_, apart};
  Worker unlogged(shared, scratch_.tallies[0], scratch_.notes[0], arena_.points[0]);
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    if (!SiteState::quiet(scratch_.states[s].read())) // a late hit may still be counted
      continue;
    const PlacedBody& placed = text_.bodies()[s];
    std::vector<std::uint8_t> now(placed.body->bytes());
    const bool readable = read_memory(placed.entry, now);
    if (!readable || !std::equal(now.begin(), now.end(), placed.body->code))
      return broken(property_name(Fault::NotRestored),
                    fmt::format("site {}: its bytes are not back after removal", name_of(s)));
    const std::uint64_t hits = prober_->hits(sites_[s]);
    unlogged.execute(s);
    if (prober_->hits(sites_[s]) != hits)
      return broken(property_name(Fault::MovedWhileClear),
                    fmt::format("site {} was clear, and its count moved", name_of(s)));
  }
  return std::nullopt;
}

// Memory that threads share keeps its sums: nothing that was added or swapped is lost or done twice. An execution that
// is left may have done one half of its work.
std::optional<Verdict> ScenarioRun::judge_shared_words() const {
  const auto cancelled = [](const Deeds& d) {
    return d.acts[static_cast<std::size_t>(ActKind::Cancel)] != 0;
  };
  if (leaves_ || std::ranges::any_of(deeds_, cancelled))
    return std::nullopt;
  std::uint64_t added = 0;
  std::uint64_t tokens = words_.swapped; // exclusive or: the same at all times
  for (std::size_t row = 0; row < rows_.count(); ++row) {
    added += workers_[row].added();
    tokens ^= workers_[row].held() ^ word_of(row);
  }
  if (added != words_.sum)
    return broken(property_name(BrokenProperty::SharedMemory),
                  fmt::format("threads have added {} to a word that holds {}", added, words_.sum + 0));
  if (tokens != 0)
    return broken(property_name(BrokenProperty::SharedMemory),
                  "threads have swapped words, and one was lost or is there twice");
  return std::nullopt;
}

std::optional<Verdict> ScenarioRun::judge() {
  auto wrong = judge_while_children_live();
  end_children();
  return wrong ? wrong : judge_observed();
}

std::optional<Verdict> ScenarioRun::judge_while_children_live() {
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    hits_ += closed_ ? 0 : prober_->hits(sites_[s]) - base_.back()[s];
    for (std::size_t row = 0; row < rows_.count(); ++row)
      all_ += scratch_.tallies[row][s];
  }
  if (auto wrong = judge_faults())
    return wrong;
  if (auto wrong = judge_observed())
    return wrong;
  if (auto wrong = judge_shared_words())
    return wrong;
  if (auto wrong = judge_counts())
    return wrong;
  if (auto wrong = judge_removal())
    return wrong;
  if (auto wrong = judge_bytes())
    return wrong;
  return judge_faults(); // of the executions since
}

} // namespace proberace
