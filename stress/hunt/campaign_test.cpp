// Long hunts: what is finished is kept, counted once, and goes together with what others have finished.
#include "harness/base/shell.h"
#include "stress/hunt/campaign_report.h"
#include "stress/testing/expect_cell.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>

namespace proberace {

namespace {

class Campaigns : public testing::Test {
protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("proberace-campaign-" + std::to_string(::getpid()));
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ / name; }

  std::filesystem::path directory_;
};

const Json kCampaign{{"strategy", "s"}, {"depth", 2}};

void append(const std::string& path, std::initializer_list<std::uint64_t> seeds) {
  const auto directory = CaseDirectory::open(path, kCampaign);
  ASSERT_TRUE(directory.has_value());
  auto writer = directory->writer();
  for (const std::uint64_t seed : seeds)
    ASSERT_TRUE(writer.append(Json{{"seed", seed}, {"hits", 10 * seed}}).has_value());
}

std::set<std::uint64_t> seeds_of(const CaseSet& set) {
  std::set<std::uint64_t> seeds;
  for (const auto& [seed, line] : set.done)
    seeds.insert(seed);
  return seeds;
}

TEST_F(Campaigns, CountACaseOnceWhoeverFinishedIt) {
  append(path("a"), {1, 2, 3});
  append(path("a"), {3, 4}); // another process, which did 3 again
  append(path("b"), {4, 6});
  const auto all = merged({path("a"), path("b")});
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(seeds_of(*all), (std::set<std::uint64_t>{1, 2, 3, 4, 6}));
  const CampaignReport r = report_of(*all);
  EXPECT_EQ(r.cases, 5U);
  EXPECT_EQ(r.hits, 160U);
  EXPECT_EQ(r.missing, 1U) << "5";
}

// Threads that run free may break a strategy one time and not another: what broke is not merged away.
TEST_F(Campaigns, KeepTheLineThatBroke) {
  append(path("held"), {1});
  const auto directory = CaseDirectory::open(path("broken"), kCampaign);
  ASSERT_TRUE(directory.has_value());
  ASSERT_TRUE(directory->writer().append(Json{{"seed", 1U}, {"broken", true}}).has_value());
  for (const auto& order :
       {std::vector{path("held"), path("broken")}, std::vector{path("broken"), path("held")}}) {
    const auto all = merged(order);
    ASSERT_TRUE(all.has_value());
    EXPECT_EQ(report_of(*all).broken.size(), 1U);
  }
}

TEST_F(Campaigns, TakeALineWithoutAnEndForNotThere) {
  append(path("a"), {1, 2});
  for (const auto& entry : std::filesystem::directory_iterator(path("a")))
    if (entry.path().extension() == ".cases")
      std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 1);
  const auto set = CaseDirectory::read(path("a"));
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(seeds_of(*set), std::set<std::uint64_t>{1});
}

TEST_F(Campaigns, AreNotMixedWithOthers) {
  append(path("a"), {1});
  const auto other = CaseDirectory::open(path("a"), Json{{"strategy", "s"}, {"depth", 3}});
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(describe(other.error()).find("depth is 2 there and 3 here"), std::string::npos)
      << describe(other.error());
  EXPECT_FALSE(CaseDirectory::read(path("nowhere")).has_value());
}

TEST(MissedAtMost, IsPcts) {
  EXPECT_DOUBLE_EQ(missed_at_most(2, 10, 1, 1), 0.5);
  EXPECT_NEAR(missed_at_most(2, 10, 2, 1), 0.95, 1e-12);
  EXPECT_NEAR(missed_at_most(2, 10, 2, 100), std::pow(0.95, 100), 1e-12);
  EXPECT_EQ(missed_at_most(1, 10, 1, 1), 0.0);
}

// The JSON that a hunt or a merge prints, without the cases that are left to do.
Json report_in(const std::string& out) {
  Json report = Json::parse(out, nullptr, false);
  if (report.is_object())
    report.erase("left");
  return report;
}

std::string hunt_line(const std::string& directory, const std::string& seeds, int jobs) {
  return "hunt --strategy poke+xol-boost --scheduler pct --depth 2 --per-scenario 40 --threads 2 --budget "
         "120s --resume " +
         directory + " --seeds " + seeds + " --jobs " + std::to_string(jobs) + " --json";
}

std::size_t finished_in(const std::string& directory) {
  const auto set = CaseDirectory::read(directory);
  return set ? set->done.size() : 0;
}

// Killed ten times at any moment and continued: every case is there once, as after an undisturbed hunt.
TEST_F(Campaigns, KilledTenTimesEndLikeOneThatWasNot) {
  const std::string line =
      std::string("exec ") + PROBERACE_PROGRAM + " " + hunt_line(path("killed"), "1-60", 2);
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10; ++i) {
    const std::size_t before = finished_in(path("killed"));
    const pid_t hunt = ::fork();
    if (hunt == 0) {
      ::execl("/bin/sh", "sh", "-c", (line + " > /dev/null 2>&1").c_str(), nullptr);
      ::_exit(127);
    }
    // Some cases later, and then at any moment.
    while (finished_in(path("killed")) < std::min<std::size_t>(before + 3, 60) &&
           ::waitpid(hunt, nullptr, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 50'000));
    ::kill(hunt, SIGKILL);
    ::waitpid(hunt, nullptr, 0);
  }
  EXPECT_GE(finished_in(path("killed")), 30U) << "three each time";
  const Outcome rest = run_proberace(hunt_line(path("killed"), "1-60", 2), "2>/dev/null");
  const Outcome once = run_proberace(hunt_line(path("once"), "1-60", 1), "2>/dev/null");
  const Outcome halves[] = {run_proberace(hunt_line(path("first"), "1-30", 1), "2>/dev/null"),
                            run_proberace(hunt_line(path("second"), "31-60", 1), "2>/dev/null")};
  EXPECT_EQ(rest.status, 0) << rest.out;
  EXPECT_EQ(halves[0].status + halves[1].status, 0);
  const Json wanted = report_in(once.out);
  ASSERT_EQ(wanted.value("cases", 0), 60) << once.out;
  const int fewer = 60 * 40 - wanted.value("schedules", 0); // a costly scenario has 1
  EXPECT_EQ(fewer % 39, 0);
  EXPECT_LT(fewer / 39, 30);
  EXPECT_EQ(report_in(rest.out), wanted);
  const Outcome put_together =
      run_proberace("merge " + path("first") + " " + path("second") + " --json", "2>/dev/null");
  EXPECT_EQ(report_in(put_together.out), wanted);
}

TEST_F(Campaigns, SayWhatIsLeftToDo) {
  const Outcome o = run_proberace("hunt --strategy poke+xol-boost --scheduler random --resume " +
                                      path("some") + " --seeds 1-1000000 --per-scenario 1 --budget 1s --json",
                                  "2>/dev/null");
  ASSERT_EQ(o.status, 0) << o.out;
  const Json report = Json::parse(o.out);
  EXPECT_GT(report["cases"].get<std::uint64_t>(), 0U);
  EXPECT_EQ(report["cases"].get<std::uint64_t>() + report["left"].get<std::uint64_t>(), 1'000'000U);
}

TEST_F(Campaigns, SayWhatIsWrongWithTheirOptions) {
  const Outcome alone = run_proberace("hunt --strategy poke+xol-boost --jobs 2");
  EXPECT_EQ(alone.status, 2);
  EXPECT_NE(alone.out.find("--resume"), std::string::npos) << alone.out;
  const Outcome range =
      run_proberace("hunt --strategy poke+xol-boost --resume " + path("x") + " --seeds 9-3");
  EXPECT_EQ(range.status, 2);
  EXPECT_NE(range.out.find("1-2000"), std::string::npos) << range.out;
  EXPECT_EQ(run_proberace("merge " + path("nothing")).status, 2);
  const Outcome nowhere =
      run_proberace("hunt --strategy poke+xol-boost --scheduler random --out /proc/nowhere --resume " +
                    path("y") + " --seeds 1-2");
  EXPECT_EQ(nowhere.status, 2) << "held, but what breaks could not be kept: " << nowhere.out;
}

// Free hunts too, and a strategy that breaks: its cases say so, and can be run again.
TEST_F(Campaigns, KeepWhatBroke) {
  const Outcome o =
      run_proberace("hunt --strategy poke+in-place --threads 3 --scheduler random --out " + path("") +
                        " --resume " + path("broken") + " --seeds 1-12 --budget 120s --json",
                    "2>/dev/null");
  ASSERT_EQ(o.status, 1) << o.out;
  const Json report = Json::parse(o.out);
  EXPECT_EQ(report["cases"], 12);
  ASSERT_FALSE(report["broken"].empty());
  const Json& first = report["broken"][0];
  ASSERT_TRUE(first.contains("file")) << first.dump();
  EXPECT_EQ(run_proberace("replay " + first["file"].get<std::string>()).status, 1);
  const Outcome as_found =
      run_proberace("hunt --strategy poke+in-place --threads 3 --scheduler random --as-found --out " +
                        path("all") + " --resume " + path("as-found") + " --seeds 1-30 --budget 120s --json",
                    "2>/dev/null");
  ASSERT_EQ(as_found.status, 1) << as_found.out;
  const Json all = Json::parse(as_found.out)["broken"];
  EXPECT_GT(all.size(), 1U) << "or the next line says little";
  for (const Json& broken : all)
    EXPECT_TRUE(broken.contains("file")) << broken.dump();
  const Outcome free = run_proberace("hunt --strategy poke+xol-vma --threads 2 --resume " + path("free") +
                                         " --seeds 1-3 --budget 60s --json",
                                     "2>/dev/null");
  EXPECT_EQ(free.status, 0);
  EXPECT_EQ(Json::parse(free.out).value("cases", 0), 3) << free.out;
}

} // namespace

} // namespace proberace
