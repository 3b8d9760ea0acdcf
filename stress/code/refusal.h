// Why an instruction was refused, without what names this one alone: for counting.
#pragma once

#include "harness/base/error.h"
#include "harness/code/decode.h"

namespace proberace {

// "instruction-unsupported: is privileged"
std::string refusal_reason(const Error& error, const Instruction& instruction);

} // namespace proberace
