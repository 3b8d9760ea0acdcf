// Every promise of every strategy is kept; in long runs what is not promised is observed as well (`check
// --all` always does), which costs a deadline for each that hangs.
#include "stress/promises/promise_matrix.h"

#include "harness/base/shell.h"
#include "stress/promises/promise_replay.h"
#include "stress/testing/expect_cell.h"

#include <filesystem>
#include <unistd.h>

namespace proberace {

namespace {
class EveryPromise : public testing::TestWithParam<std::string> {};
} // namespace

// Signals land in the handler there, and their frames come over a copy that lies below it.
TEST(Promises, H24_H25_NoCopyOnTheStackIsReentrantWhereSignalsLandInTheHandler) {
  const auto reentrant = [](const char* strategy) {
    return (*make_prober(strategy))->promises().has(Promise::Reentrant);
  };
  EXPECT_FALSE(reentrant("signal/iretq:poke+stack-slot-nested"));
  EXPECT_TRUE(reentrant("poke+stack-slot-nested"));
  EXPECT_TRUE(reentrant("signal/iretq:poke+tls-slot-nested"));
}

// The first part takes what most experiments execute.
TEST(Promises, EachPartOfAComposedStepperComesFirstOnce) {
  EXPECT_EQ(orders_of("ptrace:poke+emulate|xol-boost|xol-vma"),
            (std::vector<std::string>{"ptrace:poke+xol-boost|xol-vma|emulate",
                                      "ptrace:poke+xol-vma|emulate|xol-boost"}));
  EXPECT_TRUE(orders_of("poke+xol-vma").empty());
  EXPECT_TRUE(orders_of("auto").empty());
  const auto path_of_first = [](const std::string& strategy) {
    const Verdict v = run_cell(promise_cell(strategy, Promise::ExactCounts));
    EXPECT_EQ(v.ending, Ending::Held) << v.summary;
    return v.data.at("paths");
  };
  EXPECT_NE(path_of_first("poke+emulate|xol-vma").at("emulated"), 0);
  EXPECT_EQ(path_of_first("poke+xol-vma|emulate").at("emulated"), 0);
  EXPECT_FALSE(make_prober("poke+emulate|"));
  EXPECT_FALSE(make_prober("poke+emulate|no-such"));
  EXPECT_FALSE(make_prober("poke+in-place|emulate")) << "no plug-in is composed of these";
}

TEST_P(EveryPromise, IsKept) {
  const Promises promised = (*make_prober(GetParam()))->promises();
  for (const PromiseText& text : kPromises) {
    if (!promised.has(text.value) && !long_run())
      continue;
    const PromiseRow row = try_promise(GetParam(), text.value);
    EXPECT_NE(row.verdict, "broken") << text.name << ": " << row.observed << ": " << row.reason
                                     << "\ncell: " << row.cell;
    EXPECT_FALSE(row.observed.empty());
    EXPECT_EQ(row.verdict == "not-promised", !row.promised && row.observed != "skipped") << text.name;
  }
}

// xol-vma adds a mapping, and does not promise otherwise. As a row that broke, it breaks again from its file.
TEST(Promises, OneThatBrokeRunsAgainFromItsFile) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("proberace-promise-" + std::to_string(::getpid()));
  const auto file = save(folder.string(), counterexample_of({"promises", "no-added-mapping", "poke+xol-vma",
                                                             "broken", "broken", "a mapping was added"}));
  ASSERT_TRUE(file) << file.error().message;
  const Outcome broke = run_proberace("replay --times 3 " + *file, "2>/dev/null");
  EXPECT_EQ(broke.status, 1) << broke.out;
  EXPECT_NE(broke.out.find("reproduced 3 of 3 times"), std::string::npos) << broke.out;
  const auto kept = save(folder.string(), counterexample_of({"promises", "exact-counts", "poke+xol-vma",
                                                             "broken", "broken", "it never did"}));
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(run_proberace("replay " + *kept).status, 0);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryPromise, testing::ValuesIn(strategies_promising({})), test_name);

} // namespace proberace
