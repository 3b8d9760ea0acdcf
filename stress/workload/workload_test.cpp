// Code of a user's own under probes (`proberace workload`): our six libraries at a size for every
// day, and the search for the site at fault.
#include "stress/testing/expect_cell.h"
#include "stress/workload/workload.h"
#include "stress/workload/workload_check.h"

#include <csignal>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

class Saturation : public testing::TestWithParam<std::string> {};
class SiteAtFault : public testing::TestWithParam<std::string> {};

CellSpec workload_cell(const std::string& workload, const std::string& strategy) {
  return {"workload",
          Json{{"workload", workload},
               {"strategy", strategy},
               {"threads", 4},
               {"plan", "oversubscribed"},
               {"seed", 1}},
          std::chrono::minutes(4)};
}

} // namespace

// A thousand sites of each, from end to end. Fails with any effect of a probe that the library's own results
// show.
TEST_P(Saturation, H56_RealCodeWorksWithItsSitesArmed) {
  constexpr std::size_t kSome = 1000;
  for (const std::string& workload : own_workloads()) {
    if (workload == "self_reading")
      continue;
    CellSpec spec = workload_cell(workload, GetParam());
    spec.parameters["sites"] = SiteRanges();
    const std::uint64_t sites = run_cell(spec).data.at("sites");
    const std::size_t some = std::min<std::size_t>(kSome, sites);
    SiteRanges spread;
    for (std::size_t i = 0; i < some; ++i)
      spread.emplace_back(i * sites / some, i * sites / some + 1);
    spec.parameters["sites"] = spread;
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
    EXPECT_GT(v.data["armed"].get<std::uint64_t>(), v.data["asked"].get<std::uint64_t>() / 2) << workload;
    EXPECT_GT(v.data["hits"].get<std::uint64_t>(), 100U) << workload;
    EXPECT_GT(v.data["calls"].get<std::uint64_t>(), 4U) << workload;
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, Saturation,
                         testing::Values("poke+emulate|xol-vma", "pte-swap+xol-vma", "jump"), test_name);

// The workload reads its own first instruction; whatever writes there is seen. Fails where the search stops
// early, or blames another site.
TEST_P(SiteAtFault, TheSearchEndsAtTheOneSiteThatMatters) {
  WorkloadOptions options{"self_reading", {GetParam()}};
  const WorkloadRow row = check_workload(options).at(0);
  ASSERT_TRUE(row.whole.is(Ending::Broken)) << row.whole.summary;
  EXPECT_FALSE(row.held());
  ASSERT_TRUE(row.at_fault);
  EXPECT_EQ(row.at_fault->verdict.property, "self-check");
  ASSERT_EQ(row.at_fault->lines.size(), 1U) << text_of({row});
  EXPECT_NE(row.at_fault->lines[0].find("read_by_itself"), std::string::npos) << row.at_fault->lines[0];
  EXPECT_EQ(row.at_fault->sites.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Strategies, SiteAtFault, testing::Values("poke+xol-boost"), test_name);

// Of memory that the strategy cannot take nothing is armed: that is no pass.
TEST(Workload, NothingArmedIsNotHeld) {
  const CellSpec spec = workload_cell("self_reading", "poke/alias+xol-vma");
  const Verdict v = run_cell(spec);
  EXPECT_TRUE(v.is(Ending::Skipped)) << v.summary;
  EXPECT_NE(v.summary.find("every site is refused"), std::string::npos) << v.summary;
}

// A wrong step of the kernel's would be every process's: nothing is armed in what others run, too.
TEST(Workload, TheKernelsUprobesStayOutOfFilesThatOthersRun) {
  const std::filesystem::path file =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "workloads" / "self_reading.so";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t other = ::fork();
  ASSERT_GE(other, 0);
  if (other == 0) {
    const char mapped = ::dlopen(file.c_str(), RTLD_NOW) != nullptr ? 'y' : 'n';
    if (::write(ready[1], &mapped, 1) != 1)
      ::_exit(1);
    for (;;)
      ::pause();
  }
  char mapped = 'n';
  EXPECT_EQ(::read(ready[0], &mapped, 1), 1);
  EXPECT_EQ(mapped, 'y');
  const Verdict v = run_cell(workload_cell("self_reading", "kernel-uprobe"));
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_TRUE(v.is(Ending::Skipped)) << v.summary;
  EXPECT_NE(v.summary.find(fmt::format("process {} also maps this file", other)), std::string::npos)
      << v.summary;
}

TEST(SiteRanges, AreTheInverseOfTheirMembers) {
  const std::vector<std::size_t> sites{0, 1, 2, 7, 9, 10};
  EXPECT_EQ(ranges_of(sites), (SiteRanges{{0, 3}, {7, 8}, {9, 11}}));
  EXPECT_EQ(members(ranges_of(sites), 100), sites);
  EXPECT_EQ(members({{9, 12}, {0, 2}, {1, 3}}, 11),
            (std::vector<std::size_t>{0, 1, 2, 9, 10})); // the end is cut
}

} // namespace proberace
