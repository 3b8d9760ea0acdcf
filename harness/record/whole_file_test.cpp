#include "harness/record/whole_file.h"

#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

TEST(WholeFile, IsThereWholeOrNotAtAll) {
  const std::string path = testing::TempDir() + "whole-file";
  ::unlink(path.c_str());
  auto file = WholeFile::create(path);
  ASSERT_TRUE(file);
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "nothing is there before it is written";
  ASSERT_TRUE(file->write("all of it\n"));
  std::string line;
  std::getline(std::ifstream(path), line);
  EXPECT_EQ(line, "all of it");
  EXPECT_NE(::access((path + ".part").c_str(), F_OK), 0);
}

TEST(WholeFile, ADirectoryThatIsNotThereIsBadInput) {
  const auto file = WholeFile::create("/nowhere/at/all");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::BadInput);
}

TEST(WholeFile, AFullDiskIsSaidAndLeavesNothing) {
  const std::string path = testing::TempDir() + "full-" + std::to_string(::getpid());
  ASSERT_TRUE(::symlink("/dev/full", (path + ".part").c_str()) == 0 || errno == EEXIST);
  auto file = WholeFile::create(path);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->write("too much"));
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

} // namespace proberace
