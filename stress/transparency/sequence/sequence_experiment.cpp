// The cell of `proberace sequences`: a sequence runs bare, then with its sites probed on one thread, then on
// all threads at once; every run must leave what the bare one left, and every site count what the processor's
// own single-stepping counts.
//
// Parameters: strategy, sequence, threads, plan, rounds. The threads live before anything is armed.
#include "harness/machine/pin_plan.h"
#include "stress/code/probed_text.h"
#include "stress/transparency/sequence/sequence_run.h"

#include <barrier>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <thread>

namespace proberace {

namespace {

struct Prepared {
  SequenceCode code;
  std::vector<std::size_t> sites; // of code.instructions
  Address entry{};
  SequenceState start;
  CountedRun bare;
};

// The results of the threads; the first difference of any.
class Outcome {
public:
  void note(const SequenceState& bare, const SequenceState& probed, const char* where) {
    if (bare == probed)
      return;
    const std::lock_guard lock(mutex_);
    if (first_.empty())
      first_ = fmt::format("{}: {}", where, differences(bare, probed));
  }
  const std::string& first() const { return first_; } // when no thread runs

private:
  std::mutex mutex_;
  std::string first_;
};

std::expected<Instruction, Error> instruction_at(const Prepared& p, std::ptrdiff_t offset) {
  return decode(p.entry + offset, std::span(p.code.bytes).subspan(static_cast<std::size_t>(offset)));
}

std::vector<std::string> listing(const Prepared& p, const Prober& prober, const std::vector<Site>& sites,
                                 const SiteResults& armed, std::uint64_t runs) {
  std::vector<std::string> lines;
  std::size_t next = 0;
  for (std::size_t i = 0; i < p.code.instructions.size(); ++i) {
    const std::ptrdiff_t offset = p.code.instructions[i].offset;
    const auto instruction = instruction_at(p, offset);
    std::string line = fmt::format("{:4x}: {}", offset, instruction ? disassemble(*instruction) : "?");
    if (next < p.sites.size() && p.sites[next] == i) {
      if (armed[next])
        line += fmt::format("    <- armed: {} executions, {} hits", runs * p.bare.executions[i],
                            prober.hits(sites[next]));
      ++next;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

// The counts while all sites were armed.
struct HitTally {
  std::vector<Site> there; // those that were armed
  std::uint64_t hits = 0;
  std::uint64_t armed_steps = 0; // the instructions of steps alone, as those by mnemonic
  std::map<std::string, std::uint64_t> by_mnemonic;
  std::string miscounted; // the first site whose hits are not its executions
};

HitTally count(const Prepared& p, const Prober& prober, const std::vector<Site>& sites,
               const SiteResults& armed, std::uint64_t runs) {
  HitTally t;
  for (std::size_t n = 0; n < sites.size(); ++n) {
    if (!armed[n])
      continue;
    t.there.push_back(sites[n]);
    const std::uint64_t expected = runs * p.bare.executions[p.sites[n]];
    const std::uint64_t counted = prober.hits(sites[n]);
    const std::ptrdiff_t offset = p.code.instructions[p.sites[n]].offset;
    t.hits += counted;
    if (counted != expected && t.miscounted.empty())
      t.miscounted = fmt::format("{} executions at {:#x}, {} hits", expected, offset, counted);
    if (p.sites[n] >= p.code.of_steps)
      continue;
    ++t.armed_steps;
    if (const auto instruction = instruction_at(p, offset))
      t.by_mnemonic[std::string(mnemonic_name(*instruction))] += counted;
  }
  return t;
}

Verdict run_experiment(const Json& parameters, Arena& arena) {
  ThreadPoint& point = arena.point_for_this_thread();
  const auto read = read_fields<Sequence>(parameters.at("sequence"));
  if (!read)
    return verdict_of(read.error());
  const Sequence& sequence = *read;
  const std::uint64_t rounds = parameters.at("rounds");
  const auto plan = make_pin_plan(parameters.at("plan").get<std::string>(), parameters.at("threads"));
  if (!plan)
    return verdict_of(plan.error());
  auto made = make_prober(parameters.at("strategy"));
  if (!made)
    return verdict_of(made.error());

  Prepared p;
  p.code = assemble(sequence);
  p.sites = sites_of(sequence, p.code);
  auto text = Text::of_bytes(p.code.bytes, text_memory_for(**made));
  if (!text)
    return verdict_of(text.error());
  p.entry = text->start();
  p.start = random_state(sequence.state);
  p.bare = count_sequence(p.entry, p.code, p.start);
  if (const SequenceState again = run_sequence(p.entry, p.start); again != p.bare.end)
    return broken("harness",
                  "the bare code itself leaves this once and that once: " + differences(p.bare.end, again));

  // One after the other, then all at once.
  Outcome outcome;
  std::barrier gate(static_cast<std::ptrdiff_t>(plan->cpus.size()) + 1);
  const auto rounds_on = [&](const char* where) {
    for (std::uint64_t n = 0; n < rounds; ++n)
      outcome.note(p.bare.end, run_sequence(p.entry, p.start), where);
  };
  std::vector<std::jthread> threads;
  for (const int cpu : plan->cpus)
    threads.emplace_back([&, cpu] {
      (void)pin_this_thread(cpu);
      gate.arrive_and_wait(); // armed
      rounds_on("on all threads");
      gate.arrive_and_wait();
    });
  const auto let_go = [&] {
    gate.arrive_and_wait();
    gate.arrive_and_wait();
    threads.clear();
  };

  Target target;
  const std::unique_ptr<Prober> prober = std::move(*made); // gone before the target and the text are
  target.add_function(p.entry, p.code.bytes.size(), "sequence");
  std::vector<Address> addresses;
  for (const std::size_t i : p.sites)
    addresses.push_back(p.entry + p.code.instructions[i].offset);
  const auto sites = open_with_sites(*prober, target, addresses);
  if (!sites) {
    let_go();
    return verdict_of(sites.error());
  }
  point.pass("inserting");
  const SiteResults armed = prober->insert(*sites);
  point.pass("one thread");
  rounds_on("on one thread");
  point.pass("all threads");
  let_go();

  const std::uint64_t runs = rounds * (1 + plan->cpus.size());
  const HitTally tally = count(p, *prober, *sites, armed, runs);
  Verdict v = held(fmt::format("{} sites armed, {} hits", tally.there.size(), tally.hits));
  v.data = Json{{"armed", tally.there.size()},
                {"refused", sites->size() - tally.there.size()},
                {"hits", tally.hits},
                {"armed_steps", tally.armed_steps},
                {"mnemonics", tally.by_mnemonic}};
  const auto break_with = [&](const char* property, std::string summary) {
    v.ending = Ending::Broken;
    v.property = property;
    v.summary = std::move(summary);
    v.evidence = listing(p, *prober, *sites, armed, runs);
    return v;
  };
  if (!outcome.first().empty())
    return break_with("transparent", outcome.first());
  if (!tally.miscounted.empty())
    return break_with("wrong-count", tally.miscounted);
  if (const Status removed = first_error(prober->remove(tally.there)); !removed)
    return break_with("removal", describe(removed.error()));
  outcome.note(p.bare.end, run_sequence(p.entry, p.start), "unprobed again");
  return outcome.first().empty() ? v : break_with("restored", outcome.first());
}

const bool sequence_experiment_registered = register_experiment("sequence", &run_experiment);

} // namespace

} // namespace proberace
