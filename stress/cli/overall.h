// What a check over several strategies ends with.
#pragma once

#include "harness/cell/verdict.h"
#include "harness/cli/command.h"

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
  bool nothing_ran() const { return !ran_; }
  // With the one line that says why, if nothing ran.
  Exit exit() const {
    if (!ran_ && first_)
      return fail(Error{
          first_->is(Ending::Skipped) ? ErrorKind::MachineLacks : ErrorKind::BadInput, {}, first_->summary});
    return broke_ ? Exit::Counterexample : Exit::Held;
  }

private:
  bool ran_ = false, broke_ = false;
  std::optional<Verdict> first_;
};

} // namespace proberace
