// RapidCheck's own listener prints its configuration and every failure; commands print a report instead.
#pragma once

#include <rapidcheck.h>

namespace proberace {

class QuietListener final : public rc::detail::TestListener {
public:
  void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
  void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
  void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
};

} // namespace proberace
