#include "harness/probe/batch.h"

#include "harness/probe/refuse.h"

#include <gtest/gtest.h>

namespace proberace {
namespace {

using Numbers = Batch<int, char>;

std::vector<std::string> words_of(const SiteResults& results) {
  std::vector<std::string> all;
  for (const Status& result : results)
    all.push_back(result ? "done" : describe(result.error()));
  return all;
}

TEST(Batch, ResultsComeInTheOrderOfTheCall) {
  Numbers batch(4);
  batch.refuse(refuse::already_armed(Address{1}));
  batch.accept(2, 'b');
  batch.done();
  batch.refuse(refuse::not_armed(Address{4}));
  EXPECT_EQ(words_of(batch.results()),
            (std::vector<std::string>{"0x1: already-armed: a probe of this prober is here already", "done",
                                      "done", "0x4: not-armed: no probe of this prober is here"}));
}

TEST(Batch, WritesStandInOneSpanWithoutTheRefused) {
  Numbers batch(3);
  EXPECT_TRUE(batch.empty());
  batch.accept(1, 'a');
  batch.refuse(refuse::not_open());
  batch.accept(3, 'c');
  EXPECT_FALSE(batch.empty());
  EXPECT_EQ(std::vector<int>(batch.writes().begin(), batch.writes().end()), (std::vector<int>{1, 3}));
}

TEST(Batch, AStepSeesWhatBelongsTogetherAndRefusesIt) {
  Numbers batch(4);
  batch.refuse(refuse::not_open());
  batch.accept(1, 'a');
  batch.accept(2, 'b');
  batch.accept(3, 'c');
  for (int& write : batch.writes())
    write *= 10; // who writes code says in the write how it went
  for (const auto& site : batch.accepted())
    if (site.write == 20)
      site.refuse(refuse::not_taking_effect(Address{0x20}));
  std::string left;
  for (const auto& site : batch.accepted())
    left += site.item;
  EXPECT_EQ(left, "ac") << "a later step still met the refused site";
  EXPECT_EQ(words_of(batch.results()),
            (std::vector<std::string>{
                "not-open: open the prober first", "done",
                "0x20: not-taking-effect: the probe's byte was written but is not there", "done"}));
}

} // namespace
} // namespace proberace
