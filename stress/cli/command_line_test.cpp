// The program as its users meet it: exit statuses, one line for a mistake, JSON that says what the text says.
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"

#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

void expect_one_line(const Outcome& o, int status, const std::string& words) {
  EXPECT_EQ(o.status, status) << o.out;
  EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1) << o.out;
  EXPECT_TRUE(o.out.starts_with("proberace: ")) << o.out;
  EXPECT_NE(o.out.find(words), std::string::npos) << o.out;
}

} // namespace

TEST(CommandLine, AMistakeIsOneLineAndStatus2) {
  expect_one_line(run_proberace("hunt --strategy no-such"), 2, "no strategy is called 'no-such'");
  expect_one_line(run_proberace("check --strategy pte-swap+nothing"), 2, "no strategy is called");
  expect_one_line(run_proberace("bench --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("hunt"), 2, "--strategy");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --scheduler random --out /proc/nowhere"), 2,
                  "cannot write '/proc/nowhere/");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --scheduler random --resume /tmp/none "
                                "--seeds 1-18446744073709551615"),
                  2, "is no range");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --scheduler random --property lost"), 2,
                  "no property is called 'lost'");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --budget 20x"), 2, "--budget");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --threads 0"), 2, "--threads");
  for (const char* const none : {"0s", "-5s"})
    for (const char* const command : {"hunt", "stress"})
      expect_one_line(run_proberace(fmt::format("{} --strategy poke+xol-vma --budget {}", command, none)), 2,
                      "--budget");
  for (const char* const option :
       {"hunt --schedules 0", "hunt --seed -1", "stress --runs 0", "stress --toggle 0"})
    expect_one_line(run_proberace(fmt::format("{} --strategy poke+xol-vma", option)), 2, "from");
  expect_one_line(run_proberace("frobnicate"), 2, "no command is called 'frobnicate'");
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --plan nowhere"), 2,
                  "no pin plan is called 'nowhere'");
  expect_one_line(run_proberace("hunt --scenario /nonexistent"), 2,
                  "--scenario /nonexistent: cannot be read");
  expect_one_line(run_proberace("hunt --scenario 'strategy jump\nbodies A=mov\nthread 0: rum A\n'"), 2,
                  "line 3: no act is called 'rum'");
  expect_one_line(run_proberace("hunt --strategy jump --record /tmp/steps"), 2, "go with --scenario");
  expect_one_line(run_proberace("check"), 2, "check needs --strategy or --all");
  expect_one_line(run_proberace("check --combinations"), 2, "--all");
  expect_one_line(run_proberace("counts"), 2, "--strategy");
  expect_one_line(run_proberace("counts --strategy poke+xol-vma --symbol nosuch"), 2,
                  "libz has no function 'nosuch'");
  expect_one_line(run_proberace("counts --strategy poke+xol-vma --plan nowhere"), 2,
                  "no pin plan is called 'nowhere'");
  expect_one_line(run_proberace("survey"), 2, "file");
  expect_one_line(run_proberace("survey /nonexistent"), 2, "/nonexistent: No such file");
  expect_one_line(run_proberace("survey /proc/self/status --strategy jump"), 2, "is no x86-64 ELF file");
  expect_one_line(run_proberace("survey /bin/true --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("report /nonexistent"), 2, "/nonexistent/summary.json");
  expect_one_line(run_proberace("bench --out /proc/nowhere"), 2, "cannot write results to '/proc/nowhere'");
  expect_one_line(
      run_proberace(
          "run --strategy ptrace:poke+xol-vma --probe libc.so.6:exit --out /proc/nowhere -- /bin/true"),
      2, "cannot write '/proc/nowhere'");
  expect_one_line(run_proberace("check --strategy auto:haste"), 2, "no promise is called 'haste'");
  expect_one_line(run_proberace("check --strategy jump:exact-counts"), 2, "jump takes no promises");
  expect_one_line(run_proberace("isa --strategy poke+xol-vma --case nonsense"), 2,
                  "--case nonsense: not SEED:NUMBER");
  expect_one_line(run_proberace("isa --strategy poke+xol-vma --mnemonic frobnicate"), 2, "frobnicate");
  expect_one_line(run_proberace("isa --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("isa --strategy poke+xol-vma --out /proc/nowhere"), 2,
                  "cannot write '/proc/nowhere/");
  expect_one_line(run_proberace("sequences --cases 0 --strategy poke+xol-vma"), 2, "--cases");
  expect_one_line(run_proberace("sequences --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("sequences --all --strategy poke+xol-vma"), 2, "--all");
  expect_one_line(run_proberace("workload"), 2, "workload");
  expect_one_line(run_proberace("workload /nonexistent.so --strategy poke+xol-vma"), 2, "/nonexistent.so");
  expect_one_line(run_proberace("workload zlib --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("workload /lib/x86_64-linux-gnu/libz.so.1 --strategy poke+xol-vma"), 2,
                  "exports no `int proberace_workload(uint64_t seed)`");
  expect_one_line(run_proberace("replay"), 2, "replay needs a counterexample's file");
  expect_one_line(run_proberace("replay /nonexistent.json"), 2, "/nonexistent.json: cannot be read");
  expect_one_line(run_proberace("frobnicate"), 2, "--help");
  expect_one_line(run_proberace(""), 2, "--help");
}

TEST(CommandLine, WithoutPermissionForUprobesItIsOneLineAndStatus3) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "not root: nothing to drop";
  // The program must be reachable for nobody, wherever the checkout lies.
  const std::string copy = fmt::format("/tmp/proberace-test-{}", ::getpid());
  std::filesystem::copy_file(PROBERACE_PROGRAM, copy);
  std::filesystem::permissions(copy, std::filesystem::perms(0755));
  for (const char* arguments : {"check --strategy kernel-uprobe --out /tmp",
                                "hunt --strategy kernel-uprobe --budget 2s --out /tmp"}) {
    const Outcome o = run_shell(fmt::format(
        "cd / && setpriv --reuid 65534 --regid 65534 --clear-groups {} {} 2>&1", copy, arguments));
    expect_one_line(o, 3, "CAP_PERFMON");
  }
  std::filesystem::remove(copy);
}

TEST(CommandLine, HelpHasAnExampleForEachSubcommand) {
  for (const char* command :
       {"bench", "check", "counts", "footprint", "hunt", "isa", "list", "log", "merge", "mutants", "replay",
        "report", "run", "sequences", "stress", "survey", "workload"}) {
    const Outcome o = run_proberace(std::string(command) + " --help");
    EXPECT_EQ(o.status, 0);
    EXPECT_NE(o.out.find(fmt::format("Example: proberace {}", command)), std::string::npos) << o.out;
  }
}

// Each of them ran something, and says how much.
TEST(CommandLine, WhatHoldsIsReportedInTheFormatOfItsSchema) {
  const auto report = [](const std::string& arguments, const char* schema) {
    const Outcome o = run_proberace(arguments + " --json", "");
    EXPECT_EQ(o.status, 0) << o.out;
    Json json = Json::parse(o.out, nullptr, false);
    EXPECT_EQ(json.value("schema", ""), schema) << o.out;
    return json;
  };
  const std::string out =
      std::filesystem::temp_directory_path() / fmt::format("proberace-held-{}", ::getpid());
  const Json isa =
      report("isa --strategy poke+emulate --cases 64 --seed 3 --out " + out, "proberace/isa/1")["rows"][0];
  EXPECT_EQ(isa["strategy"], "poke+emulate");
  EXPECT_EQ(isa["seed"], 3);
  EXPECT_GT(isa["counts"]["tried"], 10);
  const Json sequences =
      report("sequences --strategy poke+xol-vma --strategy poke+emulate --cases 2 --threads 2 --out " + out,
             "proberace/sequences/1")["rows"];
  ASSERT_EQ(sequences.size(), 2U);
  EXPECT_EQ(sequences[1]["sequences"], 2);
  EXPECT_GT(sequences[0]["hits"], 0);
  const Json workload = report("workload glibc --strategy poke+emulate --subsets 1 --threads 2 --out " + out,
                               "proberace/workload/1")["rows"][0];
  EXPECT_EQ(workload["subsets"], 1);
  EXPECT_GT(workload["verdict"]["data"]["hits"], 0);
  EXPECT_TRUE(std::filesystem::is_empty(out)) << "nothing broke, and a file was kept";
  const Json survey = report("survey /lib/x86_64-linux-gnu/libz.so.1 --strategy jump --sites 500",
                             "proberace/elf-survey/1")["rows"][0];
  EXPECT_EQ(survey["verdict"]["data"]["instructions"], 500) << survey.dump();
  std::filesystem::remove_all(out);
}

TEST(CommandLine, CountsAreComparedWithTheKernelsSiteBySite) {
  const Outcome o = run_proberace("counts --strategy poke+xol-vma --sites 8 --json", "");
  if (o.status == 3)
    GTEST_SKIP() << "no kernel uprobes to compare with";
  ASSERT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out);
  EXPECT_EQ(report["schema"], "proberace/check-target/1");
  EXPECT_GE(report["compared"], 4) << "of 8 sites, evenly spread";
  EXPECT_EQ(report["equal"], report["compared"]);
}

TEST(CommandLine, ListSaysTheSameInJson) {
  const Outcome o = run_proberace("list --json", "");
  ASSERT_EQ(o.status, 0);
  const Json list = Json::parse(o.out);
  EXPECT_EQ(list["schema"], "proberace/list/1");
  const std::string text = run_proberace("list").out;
  for (const Json& plug_in : list["plug_ins"])
    EXPECT_NE(text.find(plug_in["name"].get<std::string>()), std::string::npos);
  EXPECT_NE(text.find(fmt::format("{} combinations", list["strategies"].size())), std::string::npos);
}

TEST(CommandLine, AReportThatCannotBeWrittenIsSaid) {
  for (const char* const command :
       {"list", "list --json", "isa --strategy poke+emulate --cases 20 --json", "--help",
        "run --strategy ptrace:poke+emulate --probe libc.so.6:getppid --json -- /bin/true"})
    expect_one_line(run_proberace(command, "2>&1 >/dev/full"), 2, "cannot write");
  expect_one_line(
      run_proberace("run --strategy ptrace:poke+emulate --probe libc.so.6:getppid --out /dev/full "
                    "-- /bin/true"),
      2, "cannot write '/dev/full'");
}

TEST(CommandLine, AFolderIsNoFile) {
  expect_one_line(run_proberace("replay /tmp"), 2, "/tmp: cannot be read: Is a directory");
  expect_one_line(run_proberace("hunt --strategy poke+emulate --scenario /tmp"), 2, "Is a directory");
  expect_one_line(run_proberace("report /tmp"), 2, "cannot be read");
}

TEST(CommandLine, OnlyRunTakesAProgram) {
  expect_one_line(run_proberace("list -- x"), 2, "nothing may follow --");
}

TEST(CommandLine, AHuntInTheRacyBaselineExitsWith1AndAFileThatRunsAgain) {
  const std::string out = fmt::format("/tmp/proberace-hunt-{}", ::getpid());
  const Outcome o = run_proberace(
      fmt::format("hunt --strategy poke+in-place --threads 2 --budget 10s --json --out {}", out), "");
  ASSERT_EQ(o.status, 1) << o.out;
  const Json report = Json::parse(o.out);
  ASSERT_FALSE(report["counterexample"].is_null());
  const std::string file = report["counterexample"]["file"];
  // How often it recurs is the machine's to say.
  int bad = 0;
  for (int i = 0; i < 20 && bad == 0; ++i)
    bad += run_proberace("replay --times 100 " + file).status == 1 ? 1 : 0;
  EXPECT_GT(bad, 0) << file;
  std::filesystem::remove_all(out);
}

TEST(CommandLine, AHuntInASoundStrategyHoldsAndSaysHowMuchItTested) {
  const Outcome o = run_proberace("hunt --strategy poke+xol-vma --threads 2 --budget 2s --seed 7 --json", "");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out);
  EXPECT_EQ(report["seed"], 7);
  EXPECT_GT(report["must"], 0);
  EXPECT_GT(report["hits"], 0);
}

TEST(CommandLine, ABenchRunIsRecordedWholeAndReadBack) {
  const std::string out = fmt::format("/tmp/proberace-bench-{}", ::getpid());
  const Outcome o =
      run_proberace(fmt::format("bench --strategy poke+xol-vma --repetitions 1 --json --out {}", out), "");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json printed = Json::parse(o.out);
  const std::filesystem::path directory = printed["directory"].get<std::string>();
  for (const char* file : {"summary.json", "provenance.json", "raw.jsonl"})
    EXPECT_GT(std::filesystem::file_size(directory / file), 0U) << file;
  const Outcome report = run_proberace(fmt::format("report {} --json", directory.string()), "");
  EXPECT_EQ(report.status, 0);
  EXPECT_EQ(Json::parse(report.out), printed["summary"]);
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.parent_path()))
    ++entries;
  EXPECT_EQ(entries, 1U) << "a temporary directory was left behind";
  std::filesystem::remove_all(out);
}

} // namespace proberace
