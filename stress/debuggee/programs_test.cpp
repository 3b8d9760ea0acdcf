// Every program of stress/programs, probed by every strategy that `proberace run` offers: it does what it does
// unprobed, and its hits are those that its head states.
#include "harness/base/json.h"
#include "harness/base/shell.h"
#include "harness/probe/registry.h"
#include "stress/testing/expect_cell.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

namespace fs = std::filesystem;

// The lines "// KEY: VALUE" at the head of a file.
std::vector<std::string> values_of(const fs::path& file, const std::string& key) {
  const std::string head = "// " + key + ": ";
  std::vector<std::string> values;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line) && line.starts_with("//");)
    if (line.starts_with(head))
      values.push_back(line.substr(head.size()));
  return values;
}

std::vector<std::string> all_programs() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(PROBERACE_SOURCE) / "stress/programs"))
    if (entry.path().extension() == ".c")
      names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

// Those that work from outside the program. Without --long one of each kind of stepper.
std::vector<std::string> strategies_of_run() {
  if (!long_run())
    return {"ptrace:poke+xol-boost", "ptrace:stop-world+xol-vma", "ptrace:poke+emulate|xol-vma",
            "kernel-uprobe"};
  std::vector<std::string> names = covering_strategies();
  std::erase_if(names, [](const std::string& name) {
    const bool from_outside = facts_of(name).handled_by == HandledBy::Supervisor || is_reference_peer(name);
    return !from_outside || name.ends_with("spare-slot"); // that is new_stepper_test.cpp's
  });
  return names;
}

class Programs : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / fmt::format("proberace-programs-{}", ::getpid());
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Runs it with ignored and blocked signals that are not the usual ones.
  static Outcome run(const std::string& command) {
    return run_shell(fmt::format("trap '' USR2 HUP; {} 2>&1", command));
  }

  void probe(const std::string& strategy, const fs::path& source, const fs::path& program,
             const std::string& words, const Outcome& unprobed) const;

  fs::path directory_;
};

void Programs::probe(const std::string& strategy, const fs::path& source, const fs::path& program,
                     const std::string& words, const Outcome& unprobed) const {
  std::string probes;
  for (std::string probe : values_of(source, "probe")) {
    probe.replace(probe.find("$name"), 5, program.filename());
    probes += fmt::format(" --probe '{}'", probe);
  }
  const fs::path report = directory_ / "report.json";
  fs::remove(report);
  const Outcome probed =
      run(fmt::format("{} run --strategy '{}'{} --json --out {} -- {} {}", PROBERACE_PROGRAM, strategy,
                      probes, report.string(), program.string(), words));
  if (probed.status == 2 && probed.out.contains("has no emulation")) {
    std::printf("skipped, %s", probed.out.c_str());
    return;
  }
  EXPECT_EQ(probed.out, unprobed.out);
  EXPECT_EQ(probed.status, unprobed.status);
  ASSERT_TRUE(fs::exists(report)) << "no report was written";
  const Json counts = Json::parse(std::ifstream(report));
  std::vector<std::string> hits;
  for (const Json& row : counts["sites"])
    hits.push_back(row["hits"].dump());
  const std::vector<std::string> expected = values_of(source, "hits");
  ASSERT_EQ(hits.size(), expected.size()) << counts.dump(1);
  if (!(*make_prober(strategy))->promises().has(Promise::ExactCounts))
    return;
  for (std::size_t i = 0; i < hits.size(); ++i)
    if (expected[i] == "any")
      EXPECT_NE(hits[i], "0") << counts["sites"][i].dump();
    else
      EXPECT_EQ(hits[i], expected[i]) << counts["sites"][i].dump();
}

} // namespace

TEST_P(Programs, H82_H83_H84_AreUnharmedAndCountedRightly) {
  const fs::path source = fs::path(PROBERACE_SOURCE) / "stress/programs" / (GetParam() + ".c");
  const auto strategies = strategies_of_run();
  const auto builds = values_of(source, "build");
  ASSERT_FALSE(builds.empty());
  const auto run_words = values_of(source, "run");
  const std::string words = run_words.empty() ? "" : run_words.front();
  const auto status = values_of(source, "status");
  std::size_t built = 0;
  for (std::size_t variant = 0; variant < builds.size(); ++variant) {
    const fs::path program = directory_ / fmt::format("{}_{}", GetParam(), variant);
    SCOPED_TRACE(builds[variant]);
    const Outcome made = run_shell(fmt::format("src={} dir={} out={} tmp={}; {{ {}; }} 2>&1", source.string(),
                                               source.parent_path().string(), program.string(),
                                               directory_.string(), builds[variant]));
    if (made.out.find("cannot find") != std::string::npos && made.out.find("ld") != std::string::npos) {
      std::printf("skipped, its linker is missing: %s\n", builds[variant].c_str());
      continue;
    }
    ASSERT_EQ(made.status, 0) << made.out;
    ++built;
    const Outcome unprobed = run(fmt::format("{} {}", program.string(), words));
    ASSERT_EQ(unprobed.status, status.empty() ? 0 : std::stoi(status.front())) << unprobed.out;
    for (const std::string& strategy : strategies) {
      SCOPED_TRACE(strategy);
      if (is_reference_peer(strategy) && ::geteuid() != 0)
        std::printf("skipped, kernel uprobes need root\n");
      else if (const auto reason = values_of(source, "breaks " + strategy); !reason.empty())
        std::printf("skipped, %s is known to break %s: %s\n", strategy.c_str(), GetParam().c_str(),
                    reason.front().c_str());
      else
        probe(strategy, source, program, words, unprobed);
    }
  }
  EXPECT_GT(built, 0U);
}

INSTANTIATE_TEST_SUITE_P(Run, Programs, testing::ValuesIn(all_programs()), test_name);

} // namespace proberace
