#include "stress/scenario/program_run.h"

#include "harness/base/threads.h"
#include "stress/code/probed_code.h"
#include "stress/scenario/program_properties.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

ProgramRun::ProgramRun(const Program& program, Arena& arena, ProgramScratch& scratch, Conductor& conductor,
                       Text text, std::unique_ptr<Prober> prober)
    : program_(program), arena_(arena), scratch_(scratch), conductor_(conductor), text_(std::move(text)),
      prober_(std::move(prober)), before_((take_signals(), CodeSnapshot::of(text_))),
      leaves_(some_act_leaves()) {}

Status ProgramRun::open() {
  text_.declare(target_);
  std::vector<Address> addresses;
  for (const PlacedBody& body : text_.bodies())
    addresses.push_back(body.site);
  auto sites = open_with_sites(*prober_, target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  sites_ = std::move(*sites);
  take_handler();
  operations_.resize(threads() + 1);
  observed_.resize(threads() + 1);
  deeds_.resize(threads());
  base_.assign(threads() + 1, std::vector<std::uint64_t>(sites_.size()));
  shared_.emplace(Worker::Shared{text_, scratch_.states, tickets_, executions_});
  // Where signals may land inside the hit path, a hit of their handlers may be nested in another, which the
  // hit handler is not called for (prober.h): only the counts judge it.
  const bool may_nest = !prober_->promises().has(Promise::HandlersMayJump);
  shared_nested_.emplace(Worker::Shared{text_, scratch_.states, false, executions_});
  for (std::size_t row = 0; row < ProgramScratch::kRows; ++row)
    workers_.emplace_back(ProgramScratch::nests(row, may_nest) ? *shared_nested_ : *shared_,
                          scratch_.tallies[row], scratch_.notes[row], arena_.points[row]);
  return {};
}

// Whether it can be refused so whatever the threads do meanwhile.
static bool is_of_the_site(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::StaleSite:
  case ErrorKind::NotTakingEffect:
  case ErrorKind::ThreadWouldNotStop:
  case ErrorKind::NotQuiescent:
  case ErrorKind::AlreadyOpen:
  case ErrorKind::NotOpen:
  case ErrorKind::System: return false;
  default: return true;
  }
}

void ProgramRun::take_handler() {
  tickets_ = prober_->set_handler(&ProgramRun::on_hit, this).has_value();
}

Status ProgramRun::begin() {
  if (program_.reopened) {
    note_paths();
    if (const Status closed = prober_->close(); !closed)
      return closed;
    if (const Status opened = prober_->open(target_); !opened)
      return opened;
    take_handler();
  }
  for (auto& row : scratch_.tallies)
    std::fill_n(row, sites_.size(), Tally{});
  for (Observed& o : observed_)
    o.clear.assign(sites_.size(), ClearSite{});
  std::ranges::fill(scratch_.signals_sent, 0U);
  std::ranges::fill(scratch_.signals_handled, 0U);
  Operations& operations = operations_.back();
  if (!program_.armed.empty())
    operate(threads(), ActKind::Insert, program_.armed);
  if (operations.refusal)
    return std::unexpected(*operations.refusal);
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    base_.back()[s] = prober_->hits(sites_[s]);
    for (std::size_t t = 0; t < threads(); ++t)
      base_[t][s] = prober_->hits(sites_[s], scratch_.threads[t]).value_or(0);
  }
  return {};
}

void ProgramRun::perform(std::size_t thread) noexcept {
  for (const Act& act : program_.threads[thread])
    apply(thread, act);
  const std::vector<ClearSite>& clear = observed_[thread].clear;
  if (std::ranges::none_of(clear, &ClearSite::known))
    return;
  conductor_.step("look", {});
  for (std::size_t s = 0; s < sites_.size(); ++s)
    if (clear[s].known)
      look_whether_still_clear(thread, s);
}

void ProgramRun::note(std::size_t thread, std::string property, std::string summary) {
  Observed& o = observed_[thread];
  if (o.at == 0)
    o = {std::move(o.clear), std::move(property), std::move(summary), conductor_.steps() + 1};
}

// The count must not move while the site is clear: since this thread last saw it clear, whoever removed it.
void ProgramRun::look_whether_still_clear(std::size_t thread, std::size_t site) {
  const std::uint64_t word = scratch_.states[site].read();
  if (!SiteState::quiet(word) || SiteState::armed(word))
    return;
  const std::uint64_t hits = prober_->hits(sites_[site]);
  if (scratch_.states[site].read() != word)
    return;
  ClearSite& before = observed_[thread].clear[site];
  if (before.known && before.word == word && before.hits != hits)
    note(thread, std::string(name(Fault::MovedWhileClear)),
         fmt::format("site {} ({}) was clear, and its count went from {} to {}", site,
                     program_.bodies[site].body, before.hits, hits));
  before = {word, hits, true};
}

void ProgramRun::execute(std::size_t row, std::size_t site) noexcept {
  workers_[row].execute(site);
  if (scratch_.noted_at[row] == 0 && scratch_.notes[row].count != 0)
    scratch_.noted_at[row] = conductor_.steps() + 1;
}

void ProgramRun::operate(std::size_t thread, ActKind kind, std::span<const std::size_t> sites) {
  Operations& operations = operations_[thread];
  std::vector<Site> batch;
  std::vector<std::uint64_t> before;
  for (const std::size_t i : sites)
    before.push_back(scratch_.states[i].read());
  for (const std::size_t i : sites) {
    scratch_.states[i].begin();
    batch.push_back(sites_[i]);
  }
  const bool inserting = kind == ActKind::Insert;
  const SiteResults results = inserting ? prober_->insert(batch) : prober_->remove(batch);
  for (std::size_t k = 0; k < results.size(); ++k) {
    scratch_.states[sites[k]].end(results[k].has_value());
    if (results[k])
      ++(inserting ? operations.inserted : operations.removed);
    else if (results[k].error().kind != ErrorKind::AlreadyArmed &&
             results[k].error().kind != ErrorKind::NotArmed) {
      if (!operations.refusal)
        operations.refusal = results[k].error();
      if (!is_of_the_site(results[k].error().kind))
        note(thread, broken_property::kRefused, describe(results[k].error()));
    }
    const std::uint64_t after = scratch_.states[sites[k]].read();
    const bool was_armed = SiteState::armed(before[k]);
    const bool told_so =
        !results[k] && results[k].error().kind == (inserting ? ErrorKind::AlreadyArmed : ErrorKind::NotArmed);
    if (SiteState::only_one_between(before[k], after) && results[k].has_value() + told_so == 1 &&
        results[k].has_value() == (was_armed == inserting))
      note(thread, broken_property::kArmedState,
           fmt::format("site {} ({}) was {}, and {} it {}", sites[k], program_.bodies[sites[k]].body,
                       was_armed ? "armed" : "clear", inserting ? "inserting" : "removing",
                       results[k] ? "succeeded"
                                  : "was told that it " + std::string(inserting ? "is" : "is not")));
  }
}

std::optional<Verdict> ProgramRun::close() {
  note_paths();
  if (const Status closed = prober_->close(); !closed)
    return broken(std::string(name(Fault::NotRestored)), describe(closed.error()));
  if (const std::string difference = before_.difference(CodeSnapshot::of(text_)); !difference.empty())
    return broken(std::string(name(Fault::NotRestored)), difference);
  return std::nullopt;
}

void ProgramRun::note_paths() {
  const PathCounts now = prober_->paths();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths_.taken[i] += now.taken[i];
}

Json ProgramRun::deeds() const {
  Json all = Json::object();
  const auto add = [&all](const std::string& key, std::uint64_t times) {
    if (times != 0)
      all[key] = all.value(key, std::uint64_t{0}) + times;
  };
  for (const Deeds& d : deeds_) {
    for (std::size_t i = 0; i < kActKinds; ++i)
      add(std::string(1, letter_of(static_cast<ActKind>(i))), d.acts[i]);
    add("left", d.left);
    add("faults", d.faults);
    add("changed", d.changed);
    add("skipped", d.skipped);
  }
  return all;
}

Json ProgramRun::data() const {
  Json paths = Json::object();
  for (std::size_t i = 0; i < kPathCount; ++i)
    paths[std::string(name(static_cast<Path>(i)))] = paths_.taken[i];
  Operations all;
  for (const Operations& o : operations_) {
    all.inserted += o.inserted;
    all.removed += o.removed;
    if (!all.refusal)
      all.refusal = o.refusal;
  }
  return Json{{"acts", deeds()},
              {"executions", all_.started},
              {"must", all_.must},
              {"may", all_.may()},
              {"must_not", all_.must_not},
              {"hits", hits_},
              {"inserted", all.inserted},
              {"removed", all.removed},
              {"first_refusal", all.refusal ? Json(describe(*all.refusal)) : Json(nullptr)},
              {"judged_by_ticket", tickets_},
              {"paths", std::move(paths)}};
}

} // namespace proberace
