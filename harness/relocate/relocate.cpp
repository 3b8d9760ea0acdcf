#include "harness/relocate/relocate.h"

#include "harness/base/failure.h"

#include <cstring>
#include <limits>

namespace proberace {

Status has_whole_target(const Instruction& instruction) {
  const bool branches = instruction.flow == Flow::RelativeJump || instruction.flow == Flow::RelativeCall ||
                        instruction.flow == Flow::AbsoluteCall;
  if (!branches || !instruction.operand_size_prefix)
    return {};
  return failure(ErrorKind::InstructionUnsupported, instruction.address,
                 "{}: a branch with an operand-size prefix", mnemonic_name(instruction));
}

std::expected<RelocatedCode, Error> relocate(const Instruction& instruction, Address to) {
  if (const Status movable = has_whole_target(instruction); !movable)
    return std::unexpected(movable.error());
  RelocatedCode moved{instruction.bytes, instruction.length};
  if (!instruction.rip_relative)
    return moved;
  if (instruction.eip_relative)
    return failure(ErrorKind::InstructionUnsupported, instruction.address, "{}: EIP-relative operand",
                   mnemonic_name(instruction));
  std::int32_t displacement = 0;
  std::memcpy(&displacement, moved.bytes.data() + instruction.displacement_offset, sizeof displacement);
  const std::ptrdiff_t rebased =
      displacement + (instruction.address - to); // the length is the same at both places
  if (rebased < std::numeric_limits<std::int32_t>::min() ||
      rebased > std::numeric_limits<std::int32_t>::max())
    return failure(ErrorKind::NoRoom, instruction.address,
                   "{}: its RIP-relative operand is out of a slot's reach", mnemonic_name(instruction));
  displacement = static_cast<std::int32_t>(rebased);
  std::memcpy(moved.bytes.data() + instruction.displacement_offset, &displacement, sizeof displacement);
  return moved;
}

} // namespace proberace
