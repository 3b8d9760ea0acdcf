// Programs, schedules and counterexample files as values.
#include "stress/hunt/race_file.h"
#include "stress/scenario/program_generator.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

Program any_program() {
  ProgramBounds bounds;
  bounds.strategy = "poke+xol-vma";
  return *program_generator(bounds);
}

schedule::Schedule any_schedule() {
  schedule::Schedule schedule;
  std::uint32_t step = 0;
  for (const auto gap : *rc::gen::container<std::vector<std::uint8_t>>(rc::gen::arbitrary<std::uint8_t>())) {
    step += gap + 1U;
    schedule.push_back({step, static_cast<std::uint8_t>(gap % schedule::kMaxTasks)});
  }
  return schedule;
}

class Folder {
public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / ("proberace-test-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }

private:
  std::filesystem::path path_;
};

std::string error_of(const std::string& json) {
  const auto program = program_from(Json::parse(json));
  return program ? "" : program.error().message;
}

} // namespace

RC_GTEST_PROP(Program, IsReadAsItWasWritten, ()) {
  const Program program = any_program();
  const auto again = program_from(Json::parse(to_json(program).dump()));
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == program);
}

RC_GTEST_PROP(Program, ItsScheduleIsReadAsItWasWritten, ()) {
  const schedule::Schedule schedule = any_schedule();
  const auto again = schedule_from(text_of(schedule));
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == schedule);
}

TEST(Program, WhatIsNoneIsRefusedInWords) {
  const std::string head = R"({"strategy": "jump", "bodies": ["mov@0"], "threads": )";
  EXPECT_EQ(error_of(head + R"([["x0"]]})"), "");
  EXPECT_NE(error_of(head + R"([["x1"]]})").find("there is no body 1"), std::string::npos);
  EXPECT_NE(error_of(head + R"([["!1:0"]]})").find("there is no thread 1"), std::string::npos);
  EXPECT_NE(error_of(head + R"([["x0,0"]]})").find("too many bodies"), std::string::npos);
  EXPECT_NE(error_of(head + R"([["n0"]]})").find("too few"), std::string::npos);
  EXPECT_EQ(error_of(head + R"([["n0,0", "e0", "m0"]]})"), "");
  EXPECT_NE(error_of(head + R"([]})").find("1 to"), std::string::npos);
  for (const char* act : {"", "x", "x-1", "y0", "!0", "+0,", "x0 ", "!:0"})
    EXPECT_NE(error_of(head + R"([[")" + act + R"("]]})").find("is not x0"), std::string::npos) << act;
  EXPECT_NE(error_of(R"({"bodies": []})").find("strategy"), std::string::npos);
  for (const char* schedule : {"1", "1:", ":1", "1:99", "2:0,1:0", "1:0,", "1:0;2:0"})
    EXPECT_FALSE(schedule_from(schedule)) << schedule;
}

TEST(RaceFile, IsWrittenWholeAndNeverOver) {
  const Folder folder;
  const Program program = *program_from(Json::parse(
      R"({"strategy": "poke+in-place", "bodies": ["mov@0"], "armed": [0], "threads": [["x0"], ["x0"]]})"));
  Exploration series;
  series.scheduler = SchedulerKind::Pct;
  series.schedules = 9;
  series.seed = 11;
  series.depth = 4;
  series.preemptions = 1;
  const RaceFile race{program, {{3, 1}}, 2, "pct", 7, Json{{"ending", "broken"}, {"property", "lost-hit"}},
                      series};
  const auto first = save_race(folder.path(), race);
  const auto second = save_race(folder.path(), race);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  const auto read = load_race(*first);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->program, program);
  EXPECT_EQ(read->schedule, race.schedule);
  EXPECT_EQ(read->runs, 2U);
  EXPECT_EQ(read->seed, 7U);
  EXPECT_EQ(read->verdict.at("property"), "lost-hit");
  ASSERT_TRUE(read->series);
  EXPECT_EQ(read->series->scheduler, SchedulerKind::Pct);
  EXPECT_EQ(read->series->schedules, 9U);
  EXPECT_EQ(read->series->seed, 11U);
  EXPECT_EQ(read->series->depth, 4U);
  EXPECT_EQ(read->series->preemptions, 1U);
}

TEST(RaceFile, WhatIsNoneIsRefusedByName) {
  const Folder folder;
  const std::string path = folder.path() + "/not.race";
  const auto error = [&](const std::string& text) {
    std::ofstream(path) << text;
    const auto race = load_race(path);
    return race ? "" : race.error().message;
  };
  EXPECT_NE(load_race("/nonexistent").error().message.find("/nonexistent: cannot be read"),
            std::string::npos);
  for (const char* text : {"", "{", "[]", "{}", R"({"schema": "proberace/race/2"})"})
    EXPECT_NE(error(text).find("is no counterexample"), std::string::npos) << text;
  EXPECT_NE(error(R"({"schema": "proberace/race/1"})").find("no \"program\""), std::string::npos);
}

} // namespace proberace
