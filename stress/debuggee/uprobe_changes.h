// Instructions that the kernel accepts a uprobe on and then changes or miscounts
// (results/findings/uprobe-instructions.md, seen on Linux 6.18), and the vector instructions that it refuses: of many
// places it does not say which.
#pragma once

#include "harness/code/decode.h"

#include <optional>
#include <string_view>

namespace proberace {

// Why it cannot be probed, for people: "the kernel's uprobes ...". None if it can.
std::optional<std::string_view> changed_by_uprobe(const Instruction& instruction);

} // namespace proberace
