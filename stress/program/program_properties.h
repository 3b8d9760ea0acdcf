// The names of what a program can break.
#pragma once

#include "harness/cell/verdict.h"
#include "harness/record/judgement.h"

#include <string>
#include <vector>

namespace proberace {

inline std::vector<std::string> program_properties() {
  std::vector<std::string> names{"armed-state",
                                 "deadlock",
                                 "fork-safe",
                                 "handled-after-removal",
                                 "lost-signal",
                                 "mprotect",
                                 "own-traps-delivered",
                                 "progress",
                                 "refused",
                                 "removal",
                                 "signals-see-original-pc",
                                 "vfork-safe"};
  for (std::size_t i = 1; i < kFaultCount; ++i)
    names.emplace_back(name(static_cast<Fault>(i)));
  for (const Ending ending : {Ending::Crashed, Ending::Hung})
    names.emplace_back(name(ending));
  return names;
}

} // namespace proberace
