// Controlled hunts as users run them: what is racy is found, shrunk and replayed; what is exact holds.
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

class Hunting : public testing::Test {
protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("proberace-hunting-{}", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Json hunt(const std::string& arguments, int status) {
    const Outcome o =
        run_proberace(fmt::format("hunt {} --json --out {}", arguments, folder_.string()), "2>/dev/null");
    EXPECT_EQ(o.status, status) << o.out;
    return Json::parse(o.out, nullptr, false);
  }

  // Hunts for what breaks `property`, and replays it `times` times, each in a process of its own.
  Json find_and_replay(const std::string& strategy, const std::string& property, int times) {
    const Json report = hunt(fmt::format("--strategy {} --scheduler random --property {} --per-program 200 "
                                         "--budget 60s --seed 1",
                                         strategy, property),
                             1);
    if (!report.is_object() || !report.value("counterexample", Json()).is_object()) {
      ADD_FAILURE() << "nothing found";
      return {};
    }
    const std::string file = report.at("counterexample").at("file");
    const Outcome again =
        run_proberace(fmt::format("replay {} --times {} --json", file, times), "2>/dev/null");
    EXPECT_EQ(again.status, 1) << again.out;
    const Json replay = Json::parse(again.out, nullptr, false);
    EXPECT_EQ(replay.value("reproduced", -1), times) << again.out;
    EXPECT_EQ(replay.at("steps").size(), report.at("counterexample").at("steps")) << again.out;
    points_.clear();
    for (const Json& step : replay.at("steps"))
      points_.push_back(step.at("point"));
    table_ = run_proberace("replay " + file, "2>/dev/null").out;
    EXPECT_NE(table_.find("<-- "), std::string::npos) << table_;
    return report;
  }

  std::filesystem::path folder_;
  std::string table_;
  std::vector<std::string> points_; // of the replay, in its order
};

} // namespace

TEST_F(Hunting, H20_InPlaceLosesAHitWhileAnotherThreadSteps) {
  const Json report = find_and_replay("poke+in-place", "lost-hit", 20);
  EXPECT_NE(table_.find("in-place.restore"), std::string::npos) << table_;
  EXPECT_LE(report["counterexample"]["steps"], 25) << table_;
  // What breaks in another way than the file says is said, and is no "held".
  Json race = Json::parse(std::ifstream(report["counterexample"]["file"].get<std::string>()));
  race["verdict"]["property"] = "double-hit";
  const std::string other = (folder_ / "other.race").string();
  std::ofstream(other) << race;
  const Outcome o = run_proberace(fmt::format("replay {} --times 3 --json", other), "2>/dev/null");
  EXPECT_EQ(o.status, 1) << o.out;
  const Json replay = Json::parse(o.out, nullptr, false);
  EXPECT_EQ(replay.value("reproduced", -1), 0) << o.out;
  EXPECT_EQ(replay.value("broke_otherwise", -1), 3) << o.out;
}

TEST_F(Hunting, H21_InPlaceTrapsAgainOnItsOwnSite) {
  find_and_replay("poke+in-place", "crashed", 20);
  EXPECT_NE(table_.find("in-place.reinsert"), std::string::npos) << table_;
}

TEST_F(Hunting, H25_ASignalHandlersHitOverwritesTheOnlySlotOfAThread) {
  find_and_replay("poke+tls-slot", "crashed", 20);
  // The slot is filled, a signal's handler runs, and fills it again. (The table's legend has the word, too.)
  const auto filled = std::ranges::find(points_, "tls.copy");
  const auto handler = std::find(filled, points_.end(), "handler");
  EXPECT_NE(std::find(handler, points_.end(), "tls.copy"), points_.end()) << table_;
}

TEST_F(Hunting, WhatIsExactHoldsUnderEveryScheduler) {
  for (const char* strategy :
       {"poke+xol-vma", "pte-swap+xol-boost", "poke+emulate", "poke+tls-slot-nested", "jump"})
    for (const char* scheduler : {"random", "pct", "exhaustive --preemptions 1"}) {
      const Json report = hunt(fmt::format("--strategy {} --scheduler {} --per-program 50 --schedules 400 "
                                           "--budget 120s --seed 3",
                                           strategy, scheduler),
                               0);
      ASSERT_TRUE(report.is_object());
      EXPECT_GE(report["schedules"], 400) << strategy << ' ' << scheduler;
      EXPECT_GT(report["must"], 0) << strategy << ' ' << scheduler;
      EXPECT_GT(report["must_not"], 0) << strategy << ' ' << scheduler;
      EXPECT_GT(report["hits"], 0) << strategy << ' ' << scheduler;
      EXPECT_GT(report["removed"], 0) << strategy << ' ' << scheduler;
    }
}

TEST_F(Hunting, TheSameSeedRunsTheSameSchedules) {
  const std::string arguments =
      "--strategy poke+xol-boost --scheduler pct --schedules 300 --budget 60s --seed 11";
  const Json first = hunt(arguments, 0);
  EXPECT_EQ(first, hunt(arguments, 0));
}

// The program makes the page what it was between the armer's making it writable and its store.
TEST_F(Hunting, H06_H15_AProtectionChangedMeanwhileIsNoFault) {
  const Outcome o = run_proberace(
      R"(hunt --json --cell '{"experiment":"controlled","deadline_ms":60000,"program":{)"
      R"("strategy":"poke/mprotect+xol-vma","bodies":["mov@0"],"armed":[0],"threads":[["m0"],["-0"]]},)"
      R"("scheduler":"exhaustive","preemptions":2,"seed":1,"schedules":5000,"budget_ms":50000}')");
  EXPECT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  ASSERT_TRUE(report.is_object());
  EXPECT_TRUE(report["data"].value("exhausted", false)) << o.out;
}

// Before pct knows how many choices there are it would change all priorities at the first.
TEST_F(Hunting, PctTakesItsFirstScheduleAtRandom) {
  const auto steps_of = [&](const char* scheduler, int seed) {
    const std::string file = (folder_ / fmt::format("{}-{}", scheduler, seed)).string();
    const Outcome o = run_proberace(fmt::format(
        R"(hunt --cell '{{"experiment":"controlled","deadline_ms":60000,"program":{{"strategy":"poke+emulate",)"
        R"("bodies":["mov@0"],"armed":[0],"threads":[["x0","x0"],["x0","x0"]]}},"scheduler":"{}","seed":{},)"
        R"("schedules":2,"budget_ms":30000,"record":"{}"}}')",
        scheduler, seed, file));
    EXPECT_EQ(o.status, 0) << o.out;
    std::vector<std::string> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
      lines.push_back(line);
    return lines;
  };
  int later_alike = 0;
  for (int seed = 1; seed <= 5; ++seed) {
    const auto random = steps_of("random", seed);
    const auto pct = steps_of("pct", seed);
    ASSERT_EQ(random.size(), 2U);
    ASSERT_EQ(pct.size(), 2U);
    EXPECT_EQ(pct[0], random[0]);
    later_alike += pct[1] == random[1] ? 1 : 0;
  }
  EXPECT_LT(later_alike, 5); // then it is pct's own
}

// The first schedule of a process is like any other: who is signalled there before it began takes the signal.
TEST_F(Hunting, AThreadThatHasNotBegunTakesItsSignal) {
  int before_it_began = 0;
  for (int seed = 1; seed <= 20; ++seed) {
    const std::string steps = (folder_ / fmt::format("steps-{}", seed)).string();
    const Outcome o = run_proberace(fmt::format(
        R"(hunt --cell '{{"experiment":"controlled","deadline_ms":60000,"program":{{"strategy":"poke+emulate",)"
        R"("bodies":["mov@0"],"armed":[0],"threads":[["x0"],["!0:0"]]}},"scheduler":"random","seed":{},)"
        R"("schedules":1,"budget_ms":30000,"record":"{}"}}')",
        seed, steps));
    EXPECT_EQ(o.status, 0) << o.out;
    std::ifstream file(steps);
    std::string line;
    ASSERT_TRUE(std::getline(file, line));
    ASSERT_NE(line.find("1:signal"), std::string::npos) << line;
    EXPECT_NE(line.find("0:handler"), std::string::npos) << line;
    before_it_began += line.find("1:signal") < line.find("0:begin") ? 1 : 0;
  }
  EXPECT_GT(before_it_began, 0);
}

// What a program of one thread says of itself, after 20 runs.
Json run_program(const std::string& strategy, const std::string& bodies, const std::string& acts) {
  const Outcome o = run_proberace(fmt::format(
      R"(hunt --json --cell '{{"experiment":"controlled","deadline_ms":60000,"program":{{"strategy":"{}",)"
      R"("bodies":[{}],"armed":[0,1],"threads":[[{}]]}},)"
      R"("scheduler":"random","seed":1,"schedules":20,"budget_ms":30000}}')",
      strategy, bodies, acts));
  EXPECT_EQ(o.status, 0) << strategy << ' ' << acts << ": " << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  return report.is_object() ? report.value("data", Json::object()) : Json::object();
}

// A hit handler that hits another probe, a child that becomes another program, mprotect of the probed page:
// each is seen to have happened.
TEST_F(Hunting, NestedHitsExecAndMprotectAreRunAndCounted) {
  for (const char* strategy : {"poke+xol-boost", "pte-swap+xol-vma", "poke+emulate"}) {
    const Json data = run_program(strategy, R"("mov@0","push@0")", R"("n0,1","e0","m0","x0")");
    EXPECT_EQ(data["must"], 20 * 3) << strategy << ": outer, nested, and the one behind mprotect";
    EXPECT_EQ(data["hits"], 20 * 3);
    EXPECT_GE(data["paths"]["breakpoint"], 20 * 3);
  }
}

// Likewise what only some strategies promise to survive.
TEST_F(Hunting, WhatIsPromisedIsTried) {
  const Json data =
      run_program("poke+emulate", R"("load@0","mov@0")", R"("c1","s1","i0","j0:1","k1","d0","t0","x0")");
  for (const char* done : {"x", "t", "c", "s", "i", "j", "k", "d", "changed", "skipped", "faults"})
    EXPECT_EQ(data["acts"].value(done, 0), 20) << done;
  EXPECT_GE(data["must"], 20 * 6) << "c1 s1 d0 t0 x0 and the jump's handler";
  EXPECT_EQ(data["paths"]["foreign-trap"], 2 * 20);
  const Json traced = run_program("ptrace:poke+emulate", R"("load@0","mov@0")", R"("v0","d0","x0")");
  EXPECT_EQ(traced["acts"], Json::parse(R"({"x": 20, "v": 20, "d": 20, "faults": 20})"));
}

TEST_F(Hunting, WhatIsNotPromisedIsNot) {
  const Json data = run_program("poke+xol-vma", R"("load@0","mov@0")", R"("d0","x0")");
  EXPECT_EQ(data["acts"], Json::parse(R"({"x": 20})"));
}

// Handlers that jump out of what they interrupted, and threads that end in it, are found there in some run.
TEST_F(Hunting, ExecutionsAreLeftAndThreadsEndInThem) {
  const Outcome o = run_shell(
      PROBERACE_PROGRAM
      R"(-controlled hunt --json --cell '{"experiment":"controlled","deadline_ms":60000,"program":{"strategy":)"
      R"("poke+xol-boost","bodies":["push@0","mov@0"],"armed":[0,1],"threads":[["x0","x0"],["j0:1","k0"]]},)"
      R"("scheduler":"random","seed":1,"schedules":1000,"budget_ms":50000}')");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json data = Json::parse(o.out).at("data");
  EXPECT_GT(data.at("acts").at("left"), 100);
  EXPECT_GT(data.at("may"), 100) << "executions that were left";
}

TEST_F(Hunting, WhatCannotBeControlledSaysSo) {
  const Outcome o = run_proberace("hunt --strategy kernel-uprobe --scheduler random");
  EXPECT_EQ(o.status, 3) << o.out;
  EXPECT_NE(o.out.find("has no schedule points"), std::string::npos) << o.out;
  EXPECT_EQ(run_proberace("hunt --strategy jump --scheduler fair").status, 2);
  EXPECT_EQ(run_proberace("replay /nonexistent.race").status, 2);
  EXPECT_EQ(run_proberace("replay").status, 2);
  EXPECT_EQ(run_proberace("replay --trail /nonexistent.trail --model /nonexistent.pml").status, 2);
  EXPECT_EQ(run_proberace("hunt --strategy jump --scheduler toward").status, 2);
}

// An ordinary build has no points: nothing of the scheduler is called from a hit.
TEST(SchedulePoints, AreCompiledOutOfTheHitPath) {
  const auto disassembly = [](const std::string& program) {
    return run_shell(
               fmt::format(
                   "objdump -d --no-show-raw-insn {} | awk '/^[0-9a-f]+ <.*proberace_on_sigtrap.*>:/,/^$/'",
                   program))
        .out;
  };
  const std::string ordinary = disassembly(PROBERACE_PROGRAM);
  ASSERT_NE(ordinary.find("iretq"), std::string::npos) << "the hit path was not found";
  EXPECT_EQ(ordinary.find("schedule"), std::string::npos);
  EXPECT_NE(disassembly(PROBERACE_PROGRAM "-controlled").find("schedule"), std::string::npos);
}

} // namespace proberace
