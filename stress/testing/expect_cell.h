// Shared by the tests: running cells and saying all that is known when one does not end as it must.
#pragma once

#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "stress/code/taking.h"
#include "stress/scenario/scenario.h"

#include <cstdlib>
#include <gtest/gtest.h>

namespace proberace {

// `scripts/test --long`.
inline bool long_run() {
  return std::getenv("PROBERACE_LONG") != nullptr;
}

// Every covering strategy (registry.h) that promises all of these, so that a new one is tested without an
// edit here.
inline std::vector<std::string> strategies_promising(std::initializer_list<Promise> promises) {
  std::vector<std::string> names;
  for (const std::string& name : covering_strategies()) {
    const Promises promised = (*make_prober(name))->promises();
    if (std::all_of(promises.begin(), promises.end(), [&](Promise p) { return promised.has(p); }))
      names.push_back(name);
  }
  return names;
}

// Test names allow letters and digits only.
inline std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name)
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0)
      letter = '_';
  return name;
}

// The same without the reference peer.
inline std::vector<std::string> ours_promising(std::initializer_list<Promise> promises) {
  auto names = strategies_promising(promises);
  std::erase_if(names, is_reference_peer);
  return names;
}

// A test's own experiment, `test/<name>`, under a strategy.
inline CellSpec test_cell(const std::string& experiment, const std::string& strategy) {
  CellSpec spec;
  spec.experiment = "test/" + experiment;
  spec.parameters = Json{{"strategy", strategy}};
  return spec;
}

// Hits raise no signal: what holds a thread between its trap and the handler has nothing to hold.
inline bool takes_no_trap(const std::string& strategy) {
  return facts_of(strategy).traps == Traps::NoHit;
}
// Some hits raise none: those at sites where a jump fits.
inline bool may_take_no_trap(const std::string& strategy) {
  return facts_of(strategy).traps != Traps::EveryHit;
}

// Runs the cell. Skips the test, with the reason, where the machine lacks what it takes.
#define PROBERACE_EXPECT_HELD(verdict, spec)                                                                 \
  if ((verdict).is(Ending::Skipped))                                                                         \
    GTEST_SKIP() << (verdict).summary;                                                                       \
  EXPECT_EQ(name((verdict).ending), name(Ending::Held))                                                      \
      << (verdict).property << ": " << (verdict).summary << "\n"                                             \
      << (verdict).evidence.dump(1) << "\ncell: " << (spec).line()

// The same for a test's own experiment.
#define PROBERACE_EXPECT_TEST_HELD(experiment, strategy)                                                     \
  const CellSpec spec = test_cell(experiment, strategy);                                                     \
  const Verdict v = run_cell(spec);                                                                          \
  PROBERACE_EXPECT_HELD(v, spec)

// A scenario held, and its hits went the way that the strategy's facts state: each took one of its paths,
// and came by a breakpoint where every hit traps.
inline void expect_paths(const std::string& strategy, const Verdict& v) {
  const Facts facts = facts_of(strategy);
  if (facts.handled_by == HandledBy::Kernel)
    return; // the kernel does not say
  const Json& paths = v.data.at("paths");
  const auto taken = [&](Path path) { return paths.at(name(path)).get<std::uint64_t>(); };
  const std::uint64_t hits = v.data.at("hits");
  EXPECT_EQ(taken(Path::ForeignTrap), 0U);
  // A transport counts breakpoints. A whole strategy that states no paths may count none.
  if (facts.traps == Traps::EveryHit && (!facts.paths.empty() || parts_of(strategy))) {
    EXPECT_EQ(taken(Path::Breakpoint), hits);
  }
  std::uint64_t by_its_paths = 0;
  for (std::size_t p = 0; p < kPathCount; ++p)
    if (facts.paths.has(static_cast<Path>(p)))
      by_its_paths += taken(static_cast<Path>(p));
  if (!facts.paths.empty()) {
    EXPECT_EQ(by_its_paths, hits) << "hits of " << strategy << " took other paths: " << paths.dump();
  }
}

// The body, or one whose probed instruction every strategy can take, where the strategy does not promise to.
inline PlacedName probeable(const std::string& strategy, PlacedName wanted) {
  if (!is_promised(*body_named(wanted.body), (*make_prober(strategy))->promises()))
    wanted.body = "mov";
  return wanted;
}

inline std::vector<PlacedName> probeable(const std::string& strategy, std::vector<PlacedName> wanted) {
  for (PlacedName& body : wanted)
    body = probeable(strategy, std::move(body));
  return wanted;
}

// A removal takes tens of milliseconds, or waits until threads have left memory of their own.
inline bool removal_is_costly(const std::string& strategy) {
  return facts_of(strategy).removal != Removal::Quick;
}

} // namespace proberace
