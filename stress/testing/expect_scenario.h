// Shared by tests of free runs: all that is known of one that does not hold.
#pragma once

#include "stress/scenario/explore.h"
#include "stress/scenario/threads_of_free_runs.h"
#include "stress/testing/expect_cell.h"

// Skips the test, with the reason, where the machine lacks what the scenario takes.
#define PROBERACE_EXPECT_SCENARIO_HELD(verdict, scenario)                                                    \
  if ((verdict).is(Ending::Skipped))                                                                         \
    GTEST_SKIP() << (verdict).summary;                                                                       \
  EXPECT_EQ(name((verdict).ending), name(Ending::Held))                                                      \
      << (verdict).property << ": " << (verdict).summary << "\n"                                             \
      << (verdict).evidence.dump(1) << "\n"                                                                  \
      << text_of(scenario)
