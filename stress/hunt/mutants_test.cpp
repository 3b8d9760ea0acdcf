// The command that hunts seeded bugs, on two of them: one that shows at once, and one that no controlled run
// can show.
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"
#include "stress/scenario/broken_properties.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

namespace proberace {

TEST(Mutants, AreBuiltHuntedAndReported) {
  const Outcome o = run_proberace(
      "mutants --only lock-taken-twice --only poke-not-serialised --budget 3s --json", "2>/dev/null");
  EXPECT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  ASSERT_TRUE(report.is_object()) << o.out;
  ASSERT_EQ(report["rows"].size(), 2U) << o.out;
  EXPECT_EQ(report["rows"][0]["verdict"], "caught") << o.out;
  EXPECT_EQ(report["rows"][0]["property"], "deadlock") << o.out;
  EXPECT_EQ(report["rows"][0]["replayed"], report["rows"][0]["replays"]) << o.out;
  EXPECT_EQ(report["rows"][1]["verdict"], "not-observable") << o.out;
  EXPECT_GT(report["rows"][1]["schedules"], 100) << o.out;
}

// Every property that hunts can find can be named: `hunt --property`.
TEST(Mutants, WhatTheyAreExpectedToBreakHasAName) {
  auto names = broken_properties();
  names.emplace_back("transparent"); // of isa
  int mutants = 0;
  for (const auto& file : std::filesystem::directory_iterator(PROBERACE_SOURCE "/stress/mutants")) {
    if (file.path().extension() != ".patch")
      continue;
    ++mutants;
    std::ifstream patch(file.path());
    int expected = 0;
    for (std::string line; std::getline(patch, line);)
      if (constexpr std::string_view kHead = "Expected: "; line.starts_with(kHead)) {
        std::istringstream properties(line.substr(kHead.size()));
        for (std::string property; properties >> property; ++expected) {
          property.erase(property.find_last_not_of(',') + 1);
          EXPECT_TRUE(property == "not-observable" || std::ranges::find(names, property) != names.end())
              << file.path() << ": " << property;
        }
      }
    EXPECT_GT(expected, 0) << file.path();
  }
  EXPECT_GE(mutants, 100);
}

// Only files that are named are compiled: a patch of headers alone would change nothing.
TEST(Mutants, APatchOfHeadersNamesASource) {
  for (const auto& file : std::filesystem::directory_iterator(PROBERACE_SOURCE "/stress/mutants")) {
    if (file.path().extension() != ".patch")
      continue;
    std::ifstream patch(file.path());
    bool compiled = false;
    for (std::string line; std::getline(patch, line);)
      compiled =
          compiled || ((line.starts_with("+++ ") || line.starts_with("Builds: ")) && line.ends_with(".cpp"));
    EXPECT_TRUE(compiled) << file.path();
  }
}

// One of the tree under another name stands for a stranger's.
TEST(Mutants, APatchThatIsNotInTheTreeIsHunted) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / fmt::format("proberace-stranger-{}", ::getpid());
  fs::create_directories(folder);
  fs::copy_file(PROBERACE_SOURCE "/stress/mutants/lock-taken-twice.patch", folder / "strangers-lock.patch");
  const Outcome o = run_proberace(
      fmt::format("mutants --patch '{}/strangers-lock.patch' --budget 3s --json", folder.string()),
      "2>/dev/null");
  fs::remove_all(folder);
  EXPECT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out, nullptr, false);
  ASSERT_TRUE(report.is_object() && report["rows"].size() == 1) << o.out;
  EXPECT_EQ(report["rows"][0]["mutant"], "strangers-lock") << o.out;
  EXPECT_EQ(report["rows"][0]["verdict"], "caught") << o.out;
  EXPECT_EQ(report["rows"][0]["property"], "deadlock") << o.out;
}

TEST(Mutants, OneThatIsNotThereIsRefused) {
  const Outcome o = run_proberace("mutants --only nonsense");
  EXPECT_EQ(o.status, 2) << o.out;
  EXPECT_NE(o.out.find("no mutant is called 'nonsense'"), std::string::npos) << o.out;
}

TEST(Mutants, APatchThatCannotBeHuntedIsRefused) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / fmt::format("proberace-patches-{}", ::getpid());
  fs::create_directories(folder);
  const std::string head = "--- a/harness/judge/tally.h\n+++ b/harness/judge/tally.h\n";
  const std::string stale = "@@ -1,1 +1,1 @@\n-this line was never there\n+nor this one\n";
  const auto refusal = [&](const std::string& name, const std::string& text, const std::string& more = "") {
    std::ofstream(folder / name) << text;
    const Outcome o = run_proberace(fmt::format("mutants --patch '{}/{}'{}", folder.string(), name, more));
    EXPECT_EQ(o.status, 2) << o.out;
    EXPECT_EQ(std::ranges::count(o.out, '\n'), 1) << o.out;
    return o.out;
  };
  EXPECT_NE(refusal("words.patch", "no patch\n").find("is not a patch"), std::string::npos);
  EXPECT_NE(refusal("nowhere.patch", head + stale).find("has no line 'Strategy: NAME'"), std::string::npos);
  EXPECT_NE(refusal("stale.patch", "Strategy: jump\n" + head + stale).find("does not apply"),
            std::string::npos);
  EXPECT_NE(refusal("stale.patch", head + stale, " --strategy jump").find("does not apply"),
            std::string::npos);
  EXPECT_NE(refusal("publishes-late.patch", "Strategy: jump\n" + head).find("has its name"),
            std::string::npos);
  EXPECT_NE(refusal("my bug.patch", "Strategy: jump\n" + head).find("letters, digits"), std::string::npos);
  EXPECT_NE(refusal("else.patch", "Strategy: jump\n+++ b/README.md\n").find("changes README.md"),
            std::string::npos);
  EXPECT_NE(refusal("who.patch", "Strategy: nosuch\n" + head).find("nosuch"), std::string::npos);
  fs::remove_all(folder);
}

} // namespace proberace
