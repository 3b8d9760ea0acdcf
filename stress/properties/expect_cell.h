// Shared by the tests: running cells and saying all that is known when one does not end as it must.
#pragma once

#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "stress/properties/history.h"

#include <gtest/gtest.h>

namespace proberace {

// Every registered strategy that promises all of these, so that a new one is tested without an edit here.
inline std::vector<std::string> strategies_promising(std::initializer_list<Promise> promises) {
  std::vector<std::string> names;
  for (const std::string& name : strategy_names()) {
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

// Runs the cell. Skips the test, with the reason, where the machine lacks what it takes.
#define PROBERACE_EXPECT_HELD(verdict, spec)                                                                 \
  if ((verdict).is(Ending::Skipped))                                                                         \
    GTEST_SKIP() << (verdict).summary;                                                                       \
  EXPECT_EQ(name((verdict).ending), name(Ending::Held))                                                      \
      << (verdict).property << ": " << (verdict).summary << "\n"                                             \
      << (verdict).evidence.dump(1) << "\ncell: " << (spec).line()

// A history's cell held, did what it was for, and its hits went the way they should: every hit of ours by a
// breakpoint and, for a stepper out of line, a step in its slot.
inline void expect_paths(const std::string& strategy, const Verdict& v) {
  if (is_peer(strategy))
    return; // the kernel does not say
  const Json& paths = v.data.at("paths");
  EXPECT_EQ(paths.at("breakpoint"), v.data.at("hits"));
  EXPECT_EQ(paths.at("foreign-trap"), 0);
  if (strategy.ends_with("+xol-vma")) {
    EXPECT_EQ(paths.at("slot-step"), v.data.at("hits"));
    EXPECT_EQ(paths.at("in-place-step"), 0);
  }
  if (strategy.ends_with("+emulate")) {
    EXPECT_EQ(paths.at("emulated"), v.data.at("hits"));
  }
  if (strategy.ends_with("+emulate|xol-vma")) {
    EXPECT_EQ(paths.at("emulated").get<std::uint64_t>() + paths.at("slot-step").get<std::uint64_t>(),
              v.data.at("hits"));
  }
}

} // namespace proberace
