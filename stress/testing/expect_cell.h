// Shared by the tests: running cells and saying all that is known when one does not end as it must.
#pragma once

#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "stress/code/body.h"
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

inline bool is_peer(const std::string& strategy) {
  return strategy == "kernel-uprobe";
}
inline std::vector<std::string> ours_promising(std::initializer_list<Promise> promises) {
  auto names = strategies_promising(promises);
  std::erase_if(names, is_peer);
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
  return strategy == "jump";
}
// Where a jump fits.
inline bool may_take_no_trap(const std::string& strategy) {
  return takes_no_trap(strategy) || strategy.starts_with("auto");
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

// A scenario held, did what it was for, and its hits went the way they should: every hit of ours by a
// breakpoint and, for a stepper out of line, a step in its slot.
inline void expect_paths(const std::string& strategy, const Verdict& v) {
  if (is_peer(strategy))
    return; // the kernel does not say
  const Json& paths = v.data.at("paths");
  const auto taken = [&](std::string_view path) { return paths.at(path).get<std::uint64_t>(); };
  const std::uint64_t hits = v.data.at("hits");
  EXPECT_EQ(taken("foreign-trap"), 0U);
  if (takes_no_trap(strategy)) {
    EXPECT_EQ(taken("trampoline"), hits);
    return;
  }
  const bool chooses = strategy.find('+') == std::string::npos; // jumps too, whose patching traps besides
  if (!chooses) {
    EXPECT_EQ(taken("breakpoint"), hits);
  }
  constexpr std::pair<std::string_view, std::string_view> kPathOf[] = {
      {"+in-place", "in-place-step"},       {"+xol-vma", "slot-step"},
      {"+xol-boost", "slot-jump"},          {"+tls-slot", "thread-slot"},
      {"+tls-slot-nested", "thread-slot"},  {"+stack-slot", "stack-slot"},
      {"+stack-slot-nested", "stack-slot"}, {"+emulate", "emulated"},
  };
  for (const auto& [stepper, path] : kPathOf)
    if (strategy.ends_with(stepper)) {
      EXPECT_EQ(taken(path), hits) << path;
      return;
    }
  EXPECT_TRUE(chooses || strategy.find('|') != std::string::npos)
      << "which path do hits of " << strategy << " take?";
  EXPECT_EQ(taken("emulated") + taken("slot-jump") + taken("slot-step") + (chooses ? taken("trampoline") : 0),
            hits);
}

// The body, or one whose probed instruction every strategy can take, where the strategy does not promise to.
inline PlacedName probeable(const std::string& strategy, PlacedName wanted) {
  const Promises promised = (*make_prober(strategy))->promises();
  const Body& body = *body_named(wanted.body);
  if ((body.has(BodyTrait::RipRelative) && !promised.has(Promise::RipRelative)) ||
      (body.has(BodyTrait::ControlFlow) && !promised.has(Promise::AllControlFlow)) ||
      (body.has(BodyTrait::StackPointer) && !promised.has(Promise::StackOperands)))
    wanted.body = "mov";
  return wanted;
}

inline std::vector<PlacedName> probeable(const std::string& strategy, std::vector<PlacedName> wanted) {
  for (PlacedName& body : wanted)
    body = probeable(strategy, std::move(body));
  return wanted;
}

// A removal takes some 80 ms (the kernel's), or waits until threads have left memory of their own.
inline bool removal_is_costly(const std::string& strategy) {
  return is_peer(strategy) || !(*make_prober(strategy))->promises().has(Promise::NoWritableExecutable);
}

} // namespace proberace
