#include "stress/scenario/model_trail.h"

#include <gtest/gtest.h>

namespace proberace {
namespace {

ModelTrail trail_of(std::initializer_list<schedule::GuideStep> steps) {
  return ModelTrail{Scenario{}, steps, {"execute", "poke_store", "poke_serialise", "trap_taken"}};
}

std::vector<TakenStep> run_of(std::initializer_list<std::pair<std::size_t, const char*>> steps) {
  std::vector<TakenStep> run;
  for (const auto& [task, name] : steps)
    run.push_back(TakenStep{.name = name, .task = task});
  return run;
}

TEST(ModelTrail, StepsThatTheModelLeavesOutDoNotCount) {
  EXPECT_EQ(steps_taken(trail_of({{0, "execute"}, {1, "poke_store"}}),
                        run_of({{0, "begin"}, {0, "execute"}, {1, "lock"}, {1, "poke.store"}})),
            2U);
}

TEST(ModelTrail, AnotherStepInsteadEndsIt) {
  const ModelTrail trail = trail_of({{0, "execute"}, {1, "poke_store"}, {0, "trap_taken"}});
  EXPECT_EQ(steps_taken(trail, run_of({{0, "execute"}, {0, "trap.taken"}, {1, "poke.store"}})), 1U);
  EXPECT_EQ(steps_taken(trail, run_of({{1, "poke.store"}, {0, "execute"}})), 0U);
  EXPECT_EQ(steps_taken(trail, run_of({{1, "execute"}})), 0U); // by the thread
}

} // namespace
} // namespace proberace
