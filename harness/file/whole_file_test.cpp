#include "harness/file/whole_file.h"

#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

std::string part_of(const std::string& path) {
  return path + "." + std::to_string(::getpid()) + ".part";
}

} // namespace

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
  EXPECT_NE(::access(part_of(path).c_str(), F_OK), 0);
}

TEST(WholeFile, WhatStandsThereIsNotOverwrittenByANewOne) {
  const std::string path = testing::TempDir() + "new-" + std::to_string(::getpid());
  for (const bool fresh : {true, false}) {
    auto file = WholeFile::create(path);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->write_new(fresh ? "the first\n" : "another\n").value(), fresh);
    std::string line;
    std::getline(std::ifstream(path), line);
    EXPECT_EQ(line, "the first");
    EXPECT_NE(::access(part_of(path).c_str(), F_OK), 0);
  }
  ::unlink(path.c_str());
}

TEST(WholeFile, ADirectoryThatIsNotThereIsBadInput) {
  const auto file = WholeFile::create("/nowhere/at/all");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::BadInput);
}

TEST(WholeFile, AFullDiskIsSaidAndLeavesNothing) {
  const std::string path = testing::TempDir() + "full-" + std::to_string(::getpid());
  ASSERT_TRUE(::symlink("/dev/full", part_of(path).c_str()) == 0 || errno == EEXIST);
  auto file = WholeFile::create(path);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->write("too much"));
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

} // namespace proberace
