#include "stress/code/refusal.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

std::string refusal_reason(const Error& error, const Instruction& instruction) {
  std::string_view message = error.message;
  const std::string_view mnemonic = mnemonic_name(instruction);
  if (message.starts_with(mnemonic)) {
    message.remove_prefix(mnemonic.size());
    message.remove_prefix(std::min(message.size(), message.find_first_not_of(": ")));
  }
  return fmt::format("{}: {}", name(error.kind), message);
}

} // namespace proberace
