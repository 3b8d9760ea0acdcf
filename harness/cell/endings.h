// A verdict in the few words that hunts and reports need.
#pragma once

#include "harness/base/error.h"
#include "harness/cell/verdict.h"

#include <string>

namespace proberace {

// Precondition: the verdict is Skipped or Refused.
inline Error why_not_run(const Verdict& verdict) {
  return Error{
      verdict.is(Ending::Skipped) ? ErrorKind::MachineLacks : ErrorKind::BadInput, {}, verdict.summary};
}

// The property that broke, or how the process ended: "lost-hit", "crashed", "held", ...
inline std::string what_broke(const Verdict& verdict) {
  return verdict.property.empty() ? std::string(name(verdict.ending)) : verdict.property;
}

// The same for a verdict in the form that to_json gives it.
inline std::string what_broke(const Json& verdict) {
  const std::string property = verdict.value("property", std::string());
  return property.empty() ? verdict.value("ending", std::string()) : property;
}

} // namespace proberace
