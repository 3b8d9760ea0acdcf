// The harness survives whatever a cell does, and says what it was.
#include "harness/cell/cell.h"

#include "harness/cell/experiment.h"

#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

Verdict hold(const Json& parameters, Arena&) {
  Verdict v;
  v.summary = parameters.value("say", "");
  return v;
}

Verdict crash(const Json&, Arena& arena) {
  arena.point_for_this_thread().pass("about to crash", Address{0x1234}, 7);
  asm volatile("ud2");
  return {};
}

Verdict hang(const Json&, Arena& arena) {
  arena.point_for_this_thread().pass("about to hang");
  ::pause();
  return {};
}

Verdict leave(const Json&, Arena&) {
  ::_exit(3);
}

Verdict kill_self(const Json&, Arena&) {
  ::kill(::getpid(), SIGKILL);
  ::pause();
  return {};
}

Verdict leave_a_child_that_hangs(const Json&, Arena&) {
  const pid_t child = ::fork();
  while (child == 0)
    ::pause();
  Verdict v;
  v.data = Json{{"child", child}};
  return v;
}

const bool registered =
    register_experiment("test/leave-child", &leave_a_child_that_hangs) &&
    register_experiment("test/hold", &hold) && register_experiment("test/crash", &crash) &&
    register_experiment("test/hang", &hang) && register_experiment("test/leave", &leave) &&
    register_experiment("test/kill-self", &kill_self);

CellSpec cell(const char* experiment) {
  CellSpec spec;
  spec.experiment = experiment;
  return spec;
}

} // namespace

TEST(Cell, ReturnsWhatTheExperimentSays) {
  CellSpec spec = cell("test/hold");
  spec.parameters["say"] = "hello";
  const Verdict v = run_cell(spec);
  EXPECT_EQ(v.ending, Ending::Held);
  EXPECT_EQ(v.summary, "hello");
}

TEST(Cell, ACrashIsAVerdictWithEvidence) {
  const Verdict v = run_cell(cell("test/crash"));
  ASSERT_EQ(v.ending, Ending::Crashed);
  EXPECT_EQ(v.evidence["signal"], "SIGILL");
  EXPECT_NE(v.evidence["instructions_at_pc"][0].get<std::string>().find("ud2"), std::string::npos);
  EXPECT_EQ(v.evidence["points"][0]["doing"], "about to crash");
  EXPECT_EQ(v.evidence["points"][0]["site"], "0x1234");
  EXPECT_EQ(v.evidence["points"][0]["ticket"], 7);
}

TEST(Cell, AHangEndsAtItsDeadlineAndSaysWhereItStood) {
  CellSpec spec = cell("test/hang");
  spec.deadline = std::chrono::milliseconds(200);
  const Verdict v = run_cell(spec);
  ASSERT_EQ(v.ending, Ending::Hung);
  EXPECT_EQ(v.evidence["points"][0]["doing"], "about to hang");
  EXPECT_FALSE(v.evidence["threads"].empty());
}

TEST(Cell, LeavingWithoutAnOutcomeIsNoSuccess) {
  EXPECT_EQ(run_cell(cell("test/leave")).ending, Ending::Crashed);
  const Verdict v = run_cell(cell("test/kill-self"));
  EXPECT_EQ(v.ending, Ending::Crashed);
  EXPECT_EQ(v.evidence["signal"], "SIGKILL");
}

TEST(Cell, LeavesNoChildOfItsOwnBehind) {
  const Verdict v = run_cell(cell("test/leave-child"));
  ASSERT_EQ(v.ending, Ending::Held) << v.summary;
  const pid_t child = v.data.at("child");
  const auto lives = [child] {
    std::ifstream stat(fmt::format("/proc/{}/stat", child));
    std::string line;
    return std::getline(stat, line) && line.find(") Z ") == std::string::npos;
  };
  for (int n = 0; n < 2000 && lives(); ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(lives()) << "process " << child;
}

TEST(Cell, GoesOnAfterEveryBadEnd) {
  for (int i = 0; i < 3; ++i) {
    run_cell(cell("test/crash"));
    EXPECT_EQ(run_cell(cell("test/hold")).ending, Ending::Held);
  }
}

TEST(Cell, IsOneLineThatRunsAgain) {
  CellSpec spec = cell("test/hold");
  spec.parameters["say"] = "line\nbreak";
  const std::string line = spec.line();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto again = parse_cell(line);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->line(), line);
  EXPECT_EQ(run_cell(*again).summary, "line\nbreak");
  EXPECT_FALSE(parse_cell("not json"));
  EXPECT_FALSE(parse_cell("{\"experiment\": \"no such\"}"));
}

} // namespace proberace
