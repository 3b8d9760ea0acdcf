// A counterexample is kept in a file; the command that found it says how to run it again, and `replay` runs
// it.
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

class CounterexampleOf : public testing::Test {
protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Runs a command that finds something. Returns the file that its last line but spaces names.
  std::string find(const std::string& arguments) {
    const Outcome o = run_proberace(fmt::format("{} --out {}", arguments, folder_.string()));
    EXPECT_EQ(o.status, 1) << o.out;
    constexpr std::string_view kAgain = "again: proberace replay ";
    const std::size_t at = o.out.find(kAgain);
    EXPECT_NE(at, std::string::npos) << o.out;
    if (at == std::string::npos)
      return {};
    const std::size_t begin = at + kAgain.size();
    std::string file = o.out.substr(begin, o.out.find('\n', begin) - begin);
    EXPECT_EQ(std::filesystem::path(file).parent_path(), folder_) << o.out;
    return file;
  }

  static Json replayed(const std::string& file, int times) {
    const Outcome o = run_proberace(fmt::format("replay {} --times {} --json", file, times), "");
    EXPECT_EQ(o.status, 1) << o.out;
    Json report = Json::parse(o.out, nullptr, false);
    EXPECT_EQ(report.value("schema", ""), "proberace/replay/1") << o.out;
    return report;
  }

  // The answer of `replay` once the file is changed.
  static void expect_refused(const std::string& file, const Json& changed, const std::string& words) {
    std::ofstream(file) << changed.dump();
    const Outcome o = run_proberace("replay " + file);
    EXPECT_EQ(o.status, 2) << o.out;
    EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1) << o.out;
    EXPECT_TRUE(o.out.starts_with("proberace: " + file + ": ")) << o.out;
    EXPECT_NE(o.out.find(words), std::string::npos) << o.out;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / fmt::format("proberace-found-{}", ::getpid());
};

} // namespace

// Its nested slots lie below the stack pointer that a fault reports.
TEST_F(CounterexampleOf, AnInstructionIsReplayed) {
  const std::string file = find("isa --strategy poke+stack-slot-nested --mnemonic mov --cases 64");
  EXPECT_EQ(replayed(file, 2)["reproduced"], 2);
  const Json json = Json::parse(std::ifstream(file));
  EXPECT_EQ(json["kind"], "instruction");
  EXPECT_EQ(json["case"]["mnemonics"], Json::array({"mov"}));
  // The same case by its name, without the file.
  const Json& c = json["case"];
  std::string name = fmt::format("{}:{}", c["seed"].dump(), c["number"].dump());
  for (std::size_t i = 0; i < c["path"].size(); ++i)
    name += (i == 0 ? ":" : ".") + c["path"][i].dump();
  const Outcome again =
      run_proberace(fmt::format("isa --strategy poke+stack-slot-nested --mnemonic mov --case {}", name));
  EXPECT_EQ(again.status, 1) << again.out;
  EXPECT_NE(again.out.find("case " + name), std::string::npos) << again.out;

  Json changed = json;
  changed["case"]["mnemonics"] = Json::array({"frobnicate"});
  expect_refused(file, changed, "no instruction to try is called 'frobnicate'");
  changed = json;
  changed["case"]["path"].push_back(1'000'000);
  expect_refused(file, changed, "case: the path leads to no smaller case");
  changed = json;
  changed["case"].erase("number");
  expect_refused(file, changed, "case: field 'number' is missing");
}

// One thread may take back the byte under which another stands.
TEST_F(CounterexampleOf, ASequenceIsReplayed) {
  const std::string file = find("sequences --strategy poke+in-place --cases 20");
  const Json report = replayed(file, 50);
  EXPECT_GT(report["reproduced"].get<int>() + report["broke_otherwise"].get<int>(), 0);
  const Json json = Json::parse(std::ifstream(file));
  EXPECT_EQ(json["kind"], "sequence");

  Json changed = json;
  changed["case"]["sequence"]["steps"] = Json::array({Json::array({0, 1, 2, 3})});
  expect_refused(file, changed, "field 'sequence.steps[0]': expected a step as five numbers");
  changed = json;
  changed["case"]["threads"] = 0;
  expect_refused(file, changed, "field 'threads': expected at least 1");
}

// The workload reads its own first instruction.
TEST_F(CounterexampleOf, AWorkloadIsReplayed) {
  const std::string file = find("workload self_reading --strategy poke+xol-boost");
  EXPECT_EQ(replayed(file, 1)["reproduced"], 1);
  const Json json = Json::parse(std::ifstream(file));
  EXPECT_EQ(json["kind"], "workload");
  EXPECT_EQ(json["case"]["sites"].size(), 1U);
  const Outcome text = run_proberace("replay " + file);
  EXPECT_NE(text.out.find("read_by_itself"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("reproduced 1 of 1 times"), std::string::npos) << text.out;

  const Outcome trace =
      run_proberace(fmt::format("replay {} --trace {}", file, (folder_ / "trace.json").string()));
  EXPECT_EQ(trace.status, 2) << trace.out;
  EXPECT_NE(trace.out.find("there is no interleaving to write"), std::string::npos) << trace.out;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "trace.json"));

  Json changed = json;
  changed["case"]["sites"] = Json::array({Json::array({3, 3})});
  expect_refused(file, changed, "field 'sites[0]': expected a range as two numbers");
  // A file of the user's that is gone.
  changed = json;
  changed["case"]["workload"] = "/nonexistent.so";
  std::ofstream(file) << changed.dump();
  const Outcome gone = run_proberace("replay " + file);
  EXPECT_EQ(gone.status, 2) << gone.out;
  EXPECT_NE(gone.out.find("/nonexistent.so"), std::string::npos) << gone.out;
}

} // namespace proberace
