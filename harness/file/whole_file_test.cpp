#include "harness/file/whole_file.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
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

TEST(WholeFile, ALinkIsFollowedAndStays) {
  const std::string link = testing::TempDir() + "link-" + std::to_string(::getpid());
  const std::string target = link + "-target"; // at first it is not there
  ASSERT_EQ(::symlink(target.c_str(), link.c_str()), 0);
  for (const char* const text : {"the first", "the second"}) {
    auto file = WholeFile::create(link);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(text));
    std::string line;
    std::getline(std::ifstream(target), line);
    EXPECT_EQ(line, text);
    EXPECT_TRUE(std::filesystem::is_symlink(link));
  }
  ::unlink(link.c_str());
  ::unlink(target.c_str());
}

TEST(WholeFile, AFifoAndADeviceAreWrittenThrough) {
  const std::string fifo = testing::TempDir() + "fifo-" + std::to_string(::getpid());
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::string line;
  std::thread reader([&] { std::getline(std::ifstream(fifo), line); });
  {
    auto file = WholeFile::create(fifo);
    ASSERT_TRUE(file);
    EXPECT_TRUE(file->write("through\n"));
  }
  reader.join();
  EXPECT_EQ(line, "through");
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
  ::unlink(fifo.c_str());

  const std::string link = fifo + "-null";
  ASSERT_EQ(::symlink("/dev/null", link.c_str()), 0);
  auto file = WholeFile::create(link);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->write_new("nothing").value());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  ::unlink(link.c_str());
}

TEST(WholeFile, AFullDeviceIsSaidAndStays) {
  auto file = WholeFile::create("/dev/full");
  ASSERT_TRUE(file);
  const Status written = file->write("too much");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("'/dev/full'"), std::string::npos) << written.error().message;
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(WholeFile, AFolderIsNotReplaced) {
  const auto file = WholeFile::create(testing::TempDir());
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("it is a folder"), std::string::npos) << file.error().message;
}

} // namespace proberace
