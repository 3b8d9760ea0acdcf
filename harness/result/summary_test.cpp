#include "harness/result/summary.h"

#include "harness/base/json.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

MeasuredRow row(std::string suite, std::string case_name, std::string strategy, double median) {
  MeasuredRow r;
  r.suite = std::move(suite);
  r.case_name = std::move(case_name);
  r.strategy = std::move(strategy);
  r.plan = "same-pu";
  r.metric = "hit";
  r.unit = "ns";
  r.n = 3;
  r.median = r.low = r.high = median;
  return r;
}

} // namespace

TEST(Summary, SurvivesTheWayThroughJson) {
  Summary s;
  s.measured.push_back(row("hit", "nop", "poke+xol-vma", 20));
  s.verdicts.push_back({"promises", "rip-relative", "poke+xol-vma", "kept", "held", ""});
  const auto back = summary_from(to_json(s));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(s));
}

TEST(Summary, RatiosAreToTheSameRunsFloorAndPeer) {
  Summary s;
  s.measured = {row("floors", "trap", "none", 2000), row("hit", "nop", "poke+xol-vma", 5000),
                row("hit", "nop", "the-peer", 1000), row("hit", "mov", "poke+xol-vma", 5000)};
  fill_ratios(s, "the-peer");
  EXPECT_DOUBLE_EQ(*s.measured[1].trap_ratio, 2.5);
  EXPECT_DOUBLE_EQ(*s.measured[1].uprobe_ratio, 5);
  EXPECT_DOUBLE_EQ(*s.measured[2].uprobe_ratio, 1);
  EXPECT_FALSE(s.measured[3].uprobe_ratio) << "no peer measured this case";
}

TEST(Summary, SaysWhatIsWrongAndWhere) {
  Json json = to_json(Summary{{row("hit", "nop", "x", 1)}, {}});
  json["rows"][0].erase("median");
  const auto bad = summary_from(json);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "row 0: field 'median' is missing: expected a number");
  EXPECT_EQ(summary_from(Json{{"schema", "other/1"}}).error().message,
            R"(field 'schema': expected "proberace/summary/1", not "other/1")");
  EXPECT_EQ(summary_from(Json::array()).error().message, "expected an object, not []");
}

} // namespace proberace
