// The hit log as its users meet it: a run is logged, judged afterwards, and what is taken out is missed.
#include "harness/base/shell.h"
#include "harness/log/hit_record.h"
#include "stress/testing/expect_cell.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace proberace {

namespace {

class LoggedRuns : public testing::Test {
protected:
  void SetUp() override {
    file_ = std::filesystem::temp_directory_path() / ("proberace-logged-run-" + std::to_string(::getpid()));
    std::filesystem::remove(file_);
  }
  void TearDown() override { std::filesystem::remove(file_); }

  Json check() const {
    const Outcome o = run_proberace("log check " + file_.string() + " --json", "2>/dev/null");
    return Json::parse(o.out, nullptr, false);
  }

  std::filesystem::path file_;
};

TEST_F(LoggedRuns, AgreeWithWhatTheProberCounted) {
  const Outcome o = run_proberace("log record " + file_.string() +
                                      " --strategy poke+xol-boost --threads 2 --rounds 20 --json",
                                  "2>/dev/null");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json data = Json::parse(o.out)["verdict"]["data"];
  const Json checked = check();
  EXPECT_TRUE(checked.value("held", false)) << checked.dump();
  EXPECT_EQ(checked["executions"], data["executions"]);
  EXPECT_EQ(checked["must"], data["must"]);
  EXPECT_EQ(checked["must_not"], data["must_not"]);
  EXPECT_EQ(checked["hits"], data["hits"]);
  EXPECT_GT(checked.value("must", 0), 0);
  EXPECT_EQ(checked["operations"], 20 * 2 * 3);
  EXPECT_EQ(checked["lost"], 0);
  EXPECT_NE(run_proberace("log print " + file_.string() + " --thread 0 --count 3").out.find("begin"),
            std::string::npos);
}

// One hit taken out by hand, the bytes after it moved up.
TEST_F(LoggedRuns, MissAHitThatWasTakenOut) {
  ASSERT_EQ(run_proberace("log record " + file_.string() + " --strategy poke+emulate --threads 1 --rounds 5")
                .status,
            0);
  ASSERT_TRUE(check().value("held", false));
  std::ifstream in(file_, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  std::size_t at = kHeaderBytes + sizeof(BlockHeader);
  while (static_cast<RecordKind>(bytes.at(at + offsetof(HitRecord, kind))) != RecordKind::Hit)
    at += sizeof(HitRecord);
  bytes.erase(at, sizeof(HitRecord));
  std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes;
  const Json checked = check();
  EXPECT_FALSE(checked.value("held", true));
  EXPECT_NE(checked["faults"].dump().find("missing"), std::string::npos) << checked.dump();
  EXPECT_EQ(run_proberace("log check " + file_.string()).status, 1);
}

TEST_F(LoggedRuns, AreRefusedWhereTheyCannotBe) {
  EXPECT_EQ(run_proberace("log check " + file_.string()).status, 2) << "not there";
  EXPECT_EQ(run_proberace("log record /proc/nowhere --strategy poke+emulate").status, 2);
  EXPECT_EQ(run_proberace("hunt --strategy poke+emulate --log " + file_.string()).status, 2);
  std::ofstream(file_) << "there already";
  EXPECT_EQ(run_proberace("log record " + file_.string() + " --strategy poke+emulate").status, 2);
}

} // namespace

} // namespace proberace
