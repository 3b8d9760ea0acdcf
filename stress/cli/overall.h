// The end of a check over several strategies: its report and its exit status.
#pragma once

#include "harness/cell/endings.h"
#include "harness/cell/verdict.h"
#include "harness/cli/command.h"

#include <fmt/format.h>
#include <optional>

namespace proberace {

class Overall {
public:
  void ran(bool broke) {
    ran_ = true;
    broke_ = broke_ || broke;
  }
  // Skipped or Refused.
  void did_not_run(const Verdict& why) {
    if (!first_)
      first_ = why;
  }
  // Prints a report, in either form; or, if nothing ran, the one line that says why.
  Exit report(const char* schema, Json rows, const std::string& text, bool json) const {
    if (ran_ && json)
      fmt::print("{}\n", Json{{"schema", schema}, {"rows", std::move(rows)}}.dump(2));
    else if (ran_)
      fmt::print("{}", text);
    return exit();
  }
  // The same without a report.
  Exit exit() const {
    if (!ran_ && first_)
      return fail(why_not_run(*first_));
    return broke_ ? Exit::Counterexample : Exit::Held;
  }

private:
  bool ran_ = false, broke_ = false;
  std::optional<Verdict> first_;
};

} // namespace proberace
