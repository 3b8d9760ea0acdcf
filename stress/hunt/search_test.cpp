// The search: the same seed draws the same cases, the limits end it, and what failed is made as small as it gets.
#include "stress/hunt/search.h"

#include <algorithm>
#include <climits>
#include <gtest/gtest.h>
#include <vector>

namespace proberace {

namespace {

// Cases are numbers; those from kFails on fail.
constexpr int kFails = 1000;

struct NumberPolicy {
  using Failure = int;

  std::optional<int> attempt(const int& number) {
    drawn.push_back(number);
    return number >= fails_from ? std::optional(number) : std::nullopt;
  }
  std::optional<int> attempt_smaller(const int& number) {
    ++smaller_tried;
    return number >= fails_from ? std::optional(number) : std::nullopt;
  }
  bool worth_shrinking(const int&) const { return shrinks; }
  bool over() const { return drawn.size() >= most; }

  int fails_from = kFails;
  bool shrinks = true;
  std::size_t most = 1000;
  std::vector<int> drawn{};
  int smaller_tried = 0;
};

SearchLimits limits(std::uint64_t seed, std::uint64_t cases) {
  return {.budget = {}, .seed = seed, .cases = cases};
}

const rc::Gen<int> kNumbers = rc::gen::inRange(0, 1'000'000);

std::vector<int> drawn_of(std::uint64_t seed, std::uint64_t cases) {
  NumberPolicy policy{.fails_from = INT_MAX};
  const auto result = search(limits(seed, cases), kNumbers, policy);
  EXPECT_EQ(result.cases, cases);
  EXPECT_FALSE(result.found);
  return policy.drawn;
}

} // namespace

TEST(Search, TheSmallestCaseThatFailsIsFound) {
  NumberPolicy policy;
  const auto result = search(limits(1, 100), kNumbers, policy);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(*result.found, kFails);
  EXPECT_TRUE(result.shrunk);
  EXPECT_EQ(result.cases, policy.drawn.size());
  EXPECT_GE(policy.drawn.back(), kFails);
  for (std::size_t i = 0; i + 1 < policy.drawn.size(); ++i)
    EXPECT_LT(policy.drawn[i], kFails) << "it went on after a failure";
}

TEST(Search, AFailureThatIsNotWorthItStaysAsItWasFound) {
  NumberPolicy policy{.shrinks = false};
  const auto result = search(limits(1, 100), kNumbers, policy);
  EXPECT_EQ(result.found, policy.drawn.back());
  EXPECT_FALSE(result.shrunk);
  EXPECT_EQ(policy.smaller_tried, 0);
}

TEST(Search, ASeedDrawsTheSameCasesAndItsNeighbourOthers) {
  const std::vector<int> first = drawn_of(7, 50);
  EXPECT_EQ(drawn_of(7, 50), first);
  std::vector<int> second = drawn_of(8, 50);
  for (const int number : second)
    EXPECT_EQ(std::ranges::count(first, number), 0) << number;
  EXPECT_EQ(drawn_of(seed_of_case(7, 3), 1).front(), first[3]) << "a case cannot be named by its seed";
}

TEST(Search, ThePolicyAndTheBudgetEndIt) {
  NumberPolicy policy{.fails_from = INT_MAX, .most = 3};
  EXPECT_EQ(search(limits(1, 0), kNumbers, policy).cases, 3U);
  NumberPolicy endless{.fails_from = INT_MAX, .most = SIZE_MAX};
  SearchLimits short_budget;
  short_budget.budget = std::chrono::milliseconds(20);
  EXPECT_GT(search(short_budget, kNumbers, endless).cases, 1U);
}

TEST(Search, ShrinkingEndsWhenItsTimeIsUp) {
  int tried = 0;
  const auto smaller =
      shrink_case(rc::shrinkable::shrinkRecur(1'000'000, rc::shrink::integral<int>),
                  std::chrono::steady_clock::now() - std::chrono::seconds(1), [&](const int& number) {
                    ++tried;
                    return std::optional(number);
                  });
  EXPECT_FALSE(smaller);
  EXPECT_EQ(tried, 0);
}

} // namespace proberace
