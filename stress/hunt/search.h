// The one search: draws cases from a generator until one fails, then makes that one smaller for as long as it
// fails.
//
// Idea: RapidCheck invents the values and knows how to make each smaller; what a case is, how it is run and
// what counts as a failure is the hunt's own. Trade-off against RapidCheck's own loop: its configuration, its
// output and its growing sizes are left out, and the cases of a seed can be named one by one.
#pragma once

#include "harness/base/random.h"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <rapidcheck.h>

namespace proberace {

struct SearchLimits {
  std::chrono::milliseconds budget{10'000}; // to find a failure; 0 for the number of cases alone
  std::uint64_t seed = 0;
  std::uint64_t cases = 0;                 // drawn at most; 0 for the budget alone
  std::chrono::seconds shrink_at_least{5}; // otherwise shrinking takes at most half the budget
};

// How a hunt runs one case. `Failure` is all it keeps of a case that failed.
template <typename Policy, typename Case>
concept SearchPolicy = requires(Policy& policy, const Case& one, const typename Policy::Failure& failure) {
  // Runs a case that was drawn. Empty if it held, or if its failure is not looked for.
  { policy.attempt(one) } -> std::same_as<std::optional<typename Policy::Failure>>;
  // Runs a smaller case. Empty if it does not fail in the same way.
  { policy.attempt_smaller(one) } -> std::same_as<std::optional<typename Policy::Failure>>;
  // True if a failure is made smaller at all.
  { policy.worth_shrinking(failure) } -> std::convertible_to<bool>;
  // True if the search ends although nothing was found, for example because the machine lacks what it takes.
  { policy.over() } -> std::convertible_to<bool>;
};

// Case `number` of a seed. The first is the seed's own, so that seeds in a row share no case.
inline std::uint64_t seed_of_case(std::uint64_t seed, std::uint64_t number) noexcept {
  std::uint64_t state = seed + number * 0x9e3779b97f4a7c15;
  return number == 0 ? seed : next_number(state);
}

template <typename Case>
std::optional<rc::Shrinkable<Case>> draw_case(const rc::Gen<Case>& draw, std::uint64_t seed,
                                              std::uint64_t number) {
  try {
    return draw(rc::Random(seed_of_case(seed, number)), rc::kNominalSize);
  } catch (const rc::GenerationFailure&) {
    return std::nullopt; // no value of this seed fits the generator's conditions
  }
}

// Goes from a failing case to a smaller one that fails too, until there is none or the time is up. `attempt`
// is called with each smaller case and returns what is kept of its failure. Returns the last failure, if
// there was one.
template <typename Case, typename Attempt>
auto shrink_case(rc::Shrinkable<Case> failing, std::chrono::steady_clock::time_point until,
                 Attempt&& attempt) {
  using Kept = std::invoke_result_t<Attempt&, const Case&>;
  Kept smallest{};
  for (bool smaller = true; smaller;) {
    smaller = false;
    auto candidates = failing.shrinks();
    for (auto next = candidates.next(); next && std::chrono::steady_clock::now() < until;
         next = candidates.next())
      if (Kept kept = attempt(next->value())) {
        smallest = std::move(kept);
        failing = *next;
        smaller = true;
        break;
      }
  }
  return smallest;
}

template <typename Failure> struct SearchResult {
  std::uint64_t cases = 0; // run before the failure, and that one
  bool shrunk = false;     // the failure was worth it
  std::optional<Failure> found{};
};

// The same seed draws the same cases, as far as the budget lasts. `generator_of(ordinal)` makes the generator of a
// case, whose ordinal is its number behind the seed: cases in a row can be told to differ. Runs on the calling thread.
template <typename Case, typename GeneratorOf, SearchPolicy<Case> Policy>
SearchResult<typename Policy::Failure> search_in_turn(const SearchLimits& limits, GeneratorOf&& generator_of,
                                                      Policy& policy) {
  using Clock = std::chrono::steady_clock;
  const bool timed = limits.budget.count() != 0;
  const auto until = Clock::now() + limits.budget;
  SearchResult<typename Policy::Failure> result;
  for (std::uint64_t number = 0;
       !policy.over() && (!timed || Clock::now() < until) && (limits.cases == 0 || number < limits.cases);
       ++number) {
    const auto drawn = draw_case<Case>(generator_of(limits.seed + number), limits.seed, number);
    if (!drawn)
      continue;
    ++result.cases;
    result.found = policy.attempt(drawn->value());
    if (!result.found)
      continue;
    result.shrunk = policy.worth_shrinking(*result.found);
    if (result.shrunk) {
      const auto shrink_until =
          Clock::now() + std::max<Clock::duration>(limits.shrink_at_least, limits.budget / 2);
      if (auto smaller =
              shrink_case(*drawn, shrink_until, [&](const Case& one) { return policy.attempt_smaller(one); }))
        result.found = std::move(smaller);
    }
    break;
  }
  return result;
}

// All cases from one generator.
template <typename Case, SearchPolicy<Case> Policy>
SearchResult<typename Policy::Failure> search(const SearchLimits& limits, const rc::Gen<Case>& draw,
                                              Policy& policy) {
  return search_in_turn<Case>(
      limits, [&draw](std::uint64_t) { return draw; }, policy);
}

} // namespace proberace
