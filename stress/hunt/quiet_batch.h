// Cases of a property from one seed, and smaller ones once one fails. RapidCheck itself prints its
// configuration and every failure; commands print a report instead.
#pragma once

#include <rapidcheck.h>

namespace proberace {

class QuietListener final : public rc::detail::TestListener {
public:
  void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
  void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
  void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
};

template <typename Property>
void run_quietly(std::uint64_t seed, std::size_t cases, const Property& property) {
  rc::detail::TestParams params;
  params.seed = seed;
  params.maxSuccess = static_cast<int>(cases);
  QuietListener listener;
  static const std::unordered_map<std::string, rc::detail::Reproduce> kNothingToReproduce;
  rc::detail::checkTestable(property, rc::detail::TestMetadata{}, params, listener, kNothingToReproduce);
}

} // namespace proberace
