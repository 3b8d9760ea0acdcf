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
    Json report = hunt(fmt::format("--strategy {} --scheduler random --property {} --per-scenario 200 "
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
  // A run that breaks in another way than the file says is reported as that, and not as "held".
  Json other_way = Json::parse(std::ifstream(report["counterexample"]["file"].get<std::string>()));
  other_way["verdict"]["property"] = "double-hit";
  const std::string other = (folder_ / "other.json").string();
  std::ofstream(other) << other_way;
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
      const Json report = hunt(fmt::format("--strategy {} --scheduler {} --per-scenario 50 --schedules 400 "
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

namespace {

// With two preemptions at most.
void expect_held_by_every_schedule(const std::string& scenario) {
  const Outcome o = run_proberace(fmt::format("hunt --json --scheduler exhaustive --preemptions 2 "
                                              "--per-scenario 5000 --budget 50s --scenario '{}'",
                                              scenario),
                                  "2>/dev/null");
  EXPECT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["exhausted"], 1) << o.out;
}

} // namespace

// The program makes the page what it was between the armer's making it writable and its store.
TEST_F(Hunting, H06_H15_AProtectionChangedMeanwhileIsNoFault) {
  expect_held_by_every_schedule("strategy poke/mprotect+xol-vma\nbodies A=mov\narmed A\n"
                                "thread 0: protect A\nthread 1: remove A\n");
}

// Each schedule is a thread's first hits: the prober is opened anew.
TEST_F(Hunting, H88_ASignalWhileAThreadTakesItsRecordHitsAProbe) {
  expect_held_by_every_schedule("strategy signal/iretq:poke+xol-vma\nbodies A=mov\narmed A\nreopened\n"
                                "thread 0: signal 1: run A\nthread 1: run A\n");
}

// Before pct knows how many choices there are it would change all priorities at the first.
TEST_F(Hunting, PctTakesItsFirstScheduleAtRandom) {
  const auto steps_of = [&](const char* scheduler, int seed) {
    const std::string file = (folder_ / fmt::format("{}-{}", scheduler, seed)).string();
    const Outcome o = run_proberace(fmt::format(
        "hunt --scheduler {} --seed {} --per-scenario 2 --schedules 2 --budget 30s --record {} --scenario "
        "'strategy poke+emulate\nbodies A=mov\narmed A\n"
        "thread 0: run A; run A\nthread 1: run A; run A\n'",
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

// The first schedule of a process is like any other: a thread that is signalled before it began takes the
// signal.
TEST_F(Hunting, AThreadThatHasNotBegunTakesItsSignal) {
  int before_it_began = 0;
  for (int seed = 1; seed <= 20; ++seed) {
    const std::string steps = (folder_ / fmt::format("steps-{}", seed)).string();
    const Outcome o = run_proberace(fmt::format("hunt --scheduler random --seed {} --per-scenario 1 "
                                                "--schedules 1 --budget 30s --record {} --scenario "
                                                "'strategy poke+emulate\nbodies A=mov\narmed A\n"
                                                "thread 0: run A\nthread 1: signal 0: run A\n'",
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

// The data of 20 runs of a scenario of one thread.
Json run_acts(const std::string& strategy, const std::string& bodies, const std::string& acts) {
  const Outcome o = run_proberace(
      fmt::format(
          "hunt --json --scheduler random --seed 1 --per-scenario 20 --schedules 20 --budget 30s --scenario "
          "'strategy {}\nbodies {}\narmed A B\nthread 0: {}\n'",
          strategy, bodies, acts),
      "2>/dev/null");
  EXPECT_EQ(o.status, 0) << strategy << ' ' << acts << ": " << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  return report.is_object() ? report.value("data", Json::object()) : Json::object();
}

// A hit handler that hits another probe, a child that becomes another program, mprotect of the probed page:
// each is seen to have happened.
TEST_F(Hunting, NestedHitsExecAndMprotectAreRunAndCounted) {
  for (const char* strategy : {"poke+xol-boost", "pte-swap+xol-vma", "poke+emulate"}) {
    const Json data = run_acts(strategy, "A=mov B=push", "nest A: run B; exec: run A; protect A; run A");
    EXPECT_EQ(data["must"], 20 * 3) << strategy << ": outer, nested, and the one behind mprotect";
    EXPECT_EQ(data["hits"], 20 * 3);
    EXPECT_GE(data["paths"]["breakpoint"], 20 * 3);
  }
}

// Acts that only some strategies promise to survive are done under those.
TEST_F(Hunting, PromisedActsAreDone) {
  const Json data =
      run_acts("poke+emulate", "A=load B=mov",
               "change B; skip B; int3s; leave 0: run B; cancel: run B; fault A; spawn: run A; run A");
  for (const char* done : {"run", "spawn", "change", "skip", "int3s", "leave", "cancel", "fault", "changed",
                           "skipped", "faults"})
    EXPECT_EQ(data["acts"].value(done, 0), 20) << done;
  EXPECT_GE(data["must"], 20 * 6) << "change, skip, fault, spawn, run, and the left handler";
  EXPECT_EQ(data["paths"]["foreign-trap"], 2 * 20);
  const Json traced = run_acts("ptrace:poke+emulate", "A=load B=mov", "vfork: run A; fault A; run A");
  EXPECT_EQ(traced["acts"], Json::parse(R"({"run": 20, "vfork": 20, "fault": 20, "faults": 20})"));
}

TEST_F(Hunting, ActsThatAreNotPromisedAreLeftOut) {
  const Json data = run_acts("poke+in-place", "A=load B=mov", "vfork: run A; run A");
  EXPECT_EQ(data["acts"], Json::parse(R"({"run": 20})"));
}

// Handlers that jump out of what they interrupted, and threads that end in it, are found there in some run.
TEST_F(Hunting, ExecutionsAreLeftAndThreadsEndInThem) {
  const Outcome o = run_proberace(
      "hunt --json --scheduler random --seed 1 --per-scenario 1000 --schedules 1000 --budget 50s --scenario "
      "'strategy poke+xol-boost\nbodies A=push B=mov\narmed A B\n"
      "thread 0: run A; run A\nthread 1: leave 0: run B; cancel: run A\n'",
      "2>/dev/null");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json data = Json::parse(o.out).at("data");
  EXPECT_GT(data.at("acts").at("left"), 100);
  EXPECT_GT(data.at("may"), 100) << "executions that were left";
}

TEST_F(Hunting, AScenarioComesThroughAPipe) {
  const std::string file = folder_ / "scenario";
  std::ofstream(file) << "strategy poke+emulate\nbodies A=mov\narmed A\nthread 0: run A\n";
  for (const char* scheduler : {"random", "free"}) {
    const Outcome o =
        run_shell(fmt::format("cat {} | {} hunt --scenario - --scheduler {} --schedules 5 --budget 1s", file,
                              PROBERACE_PROGRAM, scheduler));
    EXPECT_EQ(o.status, 0) << o.out;
    EXPECT_NE(o.out.find("held"), std::string::npos) << o.out;
  }
}

TEST_F(Hunting, WhatCannotBeControlledSaysSo) {
  const Outcome o = run_proberace("hunt --strategy kernel-uprobe --scheduler random");
  EXPECT_EQ(o.status, 3) << o.out;
  EXPECT_NE(o.out.find("has no schedule points"), std::string::npos) << o.out;
  EXPECT_EQ(run_proberace("hunt --strategy jump --scheduler fair").status, 2);
  EXPECT_EQ(run_proberace("replay /nonexistent.json").status, 2);
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
