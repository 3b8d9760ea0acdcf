// Instructions that the generator never tries, and why.
#pragma once

#include <Zydis/Zydis.h>
#include <string_view>

namespace proberace {

// Empty for what is tried; otherwise the reason.
std::string_view exclusion(const ZydisDecodedInstruction& instruction, const ZydisDecodedOperand* operands);

} // namespace proberace
