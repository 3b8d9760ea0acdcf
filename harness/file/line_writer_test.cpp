#include "harness/file/line_writer.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace proberace {

namespace {

class LineWriterTest : public testing::Test {
protected:
  void SetUp() override {
    char name[] = "/tmp/proberace-line-writer-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

} // namespace

TEST_F(LineWriterTest, EveryLineIsThereInOrder) {
  const std::string path = directory_ + "/raw.jsonl";
  constexpr int kLines = 20'000; // several buffers' worth
  {
    auto writer = LineWriter::create(path);
    ASSERT_TRUE(writer) << writer.error().message;
    for (int i = 0; i < kLines; ++i)
      writer->append(fmt::format("line {} of some length to fill a buffer", i));
    const Status closed = writer->close();
    ASSERT_TRUE(closed) << closed.error().message;
  }
  std::ifstream in(path);
  std::string line;
  for (int i = 0; i < kLines; ++i) {
    ASSERT_TRUE(std::getline(in, line));
    ASSERT_EQ(line, fmt::format("line {} of some length to fill a buffer", i));
  }
  EXPECT_FALSE(std::getline(in, line));
}

TEST_F(LineWriterTest, RefusesToOverwrite) {
  const std::string path = directory_ + "/raw.jsonl";
  std::ofstream(path) << "recorded before\n";
  EXPECT_FALSE(LineWriter::create(path));
  std::string line;
  std::getline(std::ifstream(path), line);
  EXPECT_EQ(line, "recorded before");
}

// A file that may not grow stands for a full disk: the kernel refuses the write all the same (setrlimit(2)).
TEST_F(LineWriterTest, AWriteThatFailsIsReportedAtClose) {
  auto writer = LineWriter::create(directory_ + "/raw.jsonl");
  ASSERT_TRUE(writer);
  const auto old_action = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit small{4096, old_limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  for (int i = 0; i < 10'000; ++i)
    writer->append("more than four kilobytes in all");
  const Status closed = writer->close();
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_action);
  ASSERT_FALSE(closed);
  EXPECT_NE(closed.error().message.find("raw.jsonl"), std::string::npos);
}

} // namespace proberace
