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
  expect_one_line(run_proberace("hunt --strategy poke+xol-vma --plan nowhere"), 2,
                  "no pin plan is called 'nowhere'");
  expect_one_line(run_proberace("hunt --scenario /nonexistent"), 2, "--scenario /nonexistent: cannot be read");
  expect_one_line(run_proberace("hunt --scenario 'strategy jump\nbodies A=mov\nthread 0: rum A\n'"), 2,
                  "line 3: no act is called 'rum'");
  expect_one_line(run_proberace("hunt --strategy jump --record /tmp/steps"), 2, "go with --scenario");
  expect_one_line(run_proberace("check --target nothing --strategy poke+xol-vma"), 2, "--target");
  expect_one_line(run_proberace("check --target zlib --strategy poke+xol-vma --symbol nosuch"), 2,
                  "libz has no function 'nosuch'");
  expect_one_line(run_proberace("check --elf /nonexistent"), 2, "/nonexistent: No such file");
  expect_one_line(run_proberace("check --elf /proc/self/status --strategy jump"), 2, "is no x86-64 ELF file");
  expect_one_line(run_proberace("report /nonexistent"), 2, "/nonexistent/summary.json");
  expect_one_line(run_proberace("bench --out /proc/nowhere"), 2, "cannot write results to '/proc/nowhere'");
  expect_one_line(
      run_proberace(
          "run --strategy ptrace:poke+xol-vma --probe libc.so.6:exit --out /proc/nowhere -- /bin/true"),
      2, "cannot write '/proc/nowhere'");
  expect_one_line(run_proberace("check --strategy auto:haste"), 2, "no promise is called 'haste'");
  expect_one_line(run_proberace("check --strategy jump:exact-counts"), 2, "jump takes no promises");
  expect_one_line(run_proberace("check --isa --strategy poke+xol-vma --case nonsense"), 2,
                  "--case nonsense: not SEED:NUMBER");
  expect_one_line(run_proberace("check --isa --strategy poke+xol-vma --mnemonic frobnicate"), 2,
                  "frobnicate");
  expect_one_line(run_proberace("check --isa --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("check --sequences 0 --strategy poke+xol-vma"), 2, "--sequences");
  expect_one_line(run_proberace("check --workload /nonexistent.so --strategy poke+xol-vma"), 2,
                  "/nonexistent.so");
  expect_one_line(run_proberace("check --workload zlib --strategy no-such"), 2, "no strategy is called");
  expect_one_line(run_proberace("check --workload /lib/x86_64-linux-gnu/libz.so.1 --strategy poke+xol-vma"),
                  2, "exports no `int proberace_workload(uint64_t seed)`");
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
  for (const char* arguments :
       {"check --strategy kernel-uprobe", "hunt --strategy kernel-uprobe --budget 2s --out /tmp"}) {
    const Outcome o = run_shell(fmt::format(
        "cd / && setpriv --reuid 65534 --regid 65534 --clear-groups {} {} 2>&1", copy, arguments));
    expect_one_line(o, 3, "CAP_PERFMON");
  }
  std::filesystem::remove(copy);
}

TEST(CommandLine, HelpHasAnExampleForEachSubcommand) {
  for (const char* command : {"list", "footprint", "hunt", "merge", "replay", "stress", "mutants", "log",
                              "check", "bench", "report", "run"}) {
    const Outcome o = run_proberace(std::string(command) + " --help");
    EXPECT_EQ(o.status, 0);
    EXPECT_NE(o.out.find(fmt::format("Example: proberace {}", command)), std::string::npos) << o.out;
  }
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

TEST(CommandLine, AHuntInTheRacyBaselineExitsWith1AndAFileThatRunsAgain) {
  const std::string out = fmt::format("/tmp/proberace-hunt-{}", ::getpid());
  const Outcome o =
      run_proberace(fmt::format("hunt --strategy poke+in-place --threads 2 --budget 10s --json --out {}", out), "");
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
