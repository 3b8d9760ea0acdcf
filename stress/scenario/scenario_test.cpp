// Scenarios, schedules and explorations as values.
#include "stress/scenario/exploration.h"
#include "stress/scenario/scenario_generator.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace proberace {

namespace {

Scenario any_scenario() {
  return *rc::gen::oneOf(scenario_generator(free_bounds("poke+xol-vma")),
                         scenario_generator(controlled_bounds("signal/iretq:poke+emulate|xol-vma")));
}

schedule::Schedule any_schedule() {
  schedule::Schedule schedule;
  std::uint32_t step = 0;
  for (const auto gap : *rc::gen::container<std::vector<std::uint8_t>>(rc::gen::arbitrary<std::uint8_t>())) {
    step += gap + 1U;
    schedule.push_back({step, static_cast<std::uint8_t>(gap % schedule::kMaxTasks)});
  }
  return schedule;
}

std::string error_of(const std::string& text) {
  const auto scenario = scenario_from_text(text);
  return scenario ? "" : scenario.error().message;
}

} // namespace

RC_GTEST_PROP(Scenario, IsReadAsItWasWritten, ()) {
  const Scenario scenario = any_scenario();
  const auto from_json = scenario_from(Json::parse(to_json(scenario).dump()));
  RC_ASSERT(from_json.has_value());
  RC_ASSERT(*from_json == scenario);
  const auto from_text = scenario_from_text(text_of(scenario));
  RC_ASSERT(from_text.has_value());
  RC_ASSERT(*from_text == scenario);
}

// Invented scenarios and smaller ones can all be run.
RC_GTEST_PROP(Scenario, CanBeRunWhenItWasInvented, ()) {
  RC_ASSERT(why_not(any_scenario()) == "");
}

RC_GTEST_PROP(Scenario, ItsScheduleIsReadAsItWasWritten, ()) {
  const schedule::Schedule schedule = any_schedule();
  const auto again = schedule_from(text_of(schedule));
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == schedule);
}

// Every act has a word of its own, is drawn by some scenario, and its text is read back.
TEST(Scenario, EveryActIsInvented) {
  std::set<ActKind> seen;
  for (const ScenarioBounds& bounds : {free_bounds("jump"), controlled_bounds("jump")})
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      const Scenario s = scenario_generator(bounds)(rc::Random(seed), rc::kNominalSize).value();
      for (const ScenarioThread& thread : s.threads)
        for (const Act& act : thread.acts)
          seen.insert(act.kind);
    }
  for (const ActRow& row : kActs)
    EXPECT_EQ(seen.contains(row.kind), row.weight != 0) << row.word;
  EXPECT_NE(acts_help().find("signal 1: run A"), std::string::npos) << acts_help();
}

TEST(Scenario, IsTypedByPeople) {
  const auto s = scenario_from_text(R"(
    strategy poke+in-place
    # two bodies, the second on another page
    bodies A=mov B=load@1
    armed A
    thread 0: run A; insert B ; signal 1: run A
    thread 1 rounds 8 pinned: run A B until-done jitter 100   # a worker
    thread 2: nest A: run B; fork: run A B; fault B; int3s; pause 500; run A times 3
  )");
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->bodies[1], (PlacedName{"load", 1}));
  ASSERT_EQ(s->threads.size(), 3U);
  EXPECT_EQ(s->threads[0].acts[2].kind, ActKind::Signal);
  EXPECT_EQ(s->threads[0].acts[2].thread, 1U);
  EXPECT_TRUE(s->threads[1].pinned);
  EXPECT_EQ(s->threads[1].rounds, 8U);
  EXPECT_EQ(s->threads[1].acts[0].times, kUntilDone);
  EXPECT_EQ(s->threads[1].acts[0].jitter, 100U);
  EXPECT_EQ(s->threads[2].acts[0].bodies, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(s->threads[2].acts[4].count, 500U);
  EXPECT_EQ(s->threads[2].acts[5].times, 3U);
}

TEST(Scenario, HasALineForEachFlag) {
  for (const ScenarioFlag& flag : kScenarioFlags) {
    const auto s = scenario_from_text("strategy jump\nbodies A=mov\n" + std::string(flag.word) +
                                      "\nthread 0: child: run A; close\n");
    ASSERT_TRUE(s) << s.error().message;
    EXPECT_TRUE((*s).*flag.member) << flag.word;
    EXPECT_FALSE(Scenario().*flag.member) << flag.word;
  }
}

TEST(Scenario, BadTextIsRefusedInOneLineThatNamesTheLine) {
  const std::string head = "strategy jump\nbodies A=mov\n";
  EXPECT_EQ(error_of(head + "thread 0: run A"), "");
  for (const auto& [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {"thread 0: run B", "'run B': there is no body B"},
           {"thread 0: signal 1: run A", "there is no thread 1"},
           {"thread 0: rum A", "line 3: no act is called 'rum': one is run, insert"},
           {"thread 0: nest A", "line 3: 'nest A' is not as 'nest A: run B'"},
           {"thread 0: change A A", "is not as 'change A'"},
           {"thread 0: fault A", "only the body 'load' can fault"},
           {"thread 0: close; insert A\nthread 1: remove A", "one thread closes the prober, and another"},
           {"thread 0: close\nthread 1: close", "one thread closes the prober, and another"},
           {"unhandled A", "begins with none of strategy, plan, bodies, armed, reopened, unhandled, thread"},
           {"thread 0: run", "'run' is not as 'run A B'"},
           {"thread 0: run A times 0", "is not as"},
           {"thread 0: signal x: run A", "is not as 'signal 1: run A'"},
           {"thread 0: insert A until-done", "is not as 'insert A B'"},
           {"thread 1: run A", "line 3: 'thread 1: run A' is not as 'thread 0: run A"},
           {"thread 0 rounds: run A", "is not as"},
           {"thread 0 rounds 0: run A", "at least 1 round"},
           {"thread 0: run A until-done", "some must end by itself"},
           {"threads 0: run A", "line 3: 'threads 0: run A' begins with none of"},
           {"armed a", "is not as 'armed A B'"},
           {"bodies C=mov", "is not as 'B=mov'"},
           {"", "it has 0 threads"}}) {
    const std::string error = error_of(head + text);
    EXPECT_NE(error.find(why), std::string::npos) << text << "\n  gave: " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_NE(error_of("bodies A=mov\nthread 0: run A").find("names no strategy"), std::string::npos);
  EXPECT_NE(error_of("strategy jump\nbodies A=nonsense\nthread 0: run A").find("'nonsense'"),
            std::string::npos);
  for (const char* json :
       {R"({})", R"({"strategy": 1})", R"({"strategy": "jump", "bodies": "mov", "threads": []})",
        R"({"strategy": "jump", "bodies": ["mov"], "threads": [{"acts": [1]}]})",
        R"({"strategy": "jump", "bodies": ["mov"], "threads": [["run A"]]})"})
    EXPECT_FALSE(scenario_from(Json::parse(json))) << json;
  for (const char* schedule : {"1", "1:", ":1", "1:99", "2:0,1:0", "1:0,", "1:0;2:0"})
    EXPECT_FALSE(schedule_from(schedule)) << schedule;
}

TEST(Exploration, IsReadAsItWasWritten) {
  Exploration e;
  e.scheduler = SchedulerKind::Pct;
  e.seed = 11;
  e.schedules = 9;
  e.depth = 4;
  e.given = {{3, 1}, {7, 0}};
  e.guide = {{1, "trap.taken"}};
  e.budget = std::chrono::milliseconds(1234);
  const auto again = read_fields<Exploration>(Json::parse(write_fields(e).dump()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(write_fields(*again), write_fields(e));
  EXPECT_FALSE(read_fields<Exploration>(Json{{"scheduler", "fair"}}));
  EXPECT_FALSE(read_fields<Exploration>(Json{{"scheduler", "pct"}, {"depth", 0}}));
}

} // namespace proberace
