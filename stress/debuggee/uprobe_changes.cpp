#include "stress/debuggee/uprobe_changes.h"

#include <algorithm>
#include <optional>

namespace proberace {

namespace {

bool is_legacy_prefix(std::uint8_t byte) {
  constexpr std::uint8_t kPrefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
  return std::ranges::find(kPrefixes, byte) != std::end(kPrefixes);
}

bool is_rex(std::uint8_t byte) {
  return (byte & 0xf0U) == 0x40;
}

// The bytes of a VEX, EVEX or XOP prefix that begins so, before the opcode; 0 if it is none (SDM vol. 2A, 2.3 and 2.7;
// AMD64 APM vol. 3, 1.9). In 64-bit mode C4, C5 and 62 are nothing else.
std::size_t vector_prefix_bytes(std::uint8_t first, std::uint8_t second) {
  switch (first) {
  case 0xc5: return 2;
  case 0xc4: return 3;
  case 0x62: return 4;
  case 0x8f: return (second & 0x1fU) >= 8 ? 3 : 0; // else pop
  default: return 0;
  }
}

// One-byte opcodes by which the kernel chooses what to emulate and what to put right after the step
// (arch/x86/kernel/uprobes.c, branch_setup_xol_ops and arch_uprobe_analyze_insn).
bool is_taken_for_another(std::uint8_t opcode) {
  constexpr std::uint8_t kOthers[] = {0x90, 0x9a, 0x9d, 0xc2, 0xc3, 0xca, 0xcb, 0xe8, 0xe9, 0xea, 0xeb, 0xff};
  return (opcode & 0xf0U) == 0x70 || std::ranges::find(kOthers, opcode) != std::end(kOthers);
}

// Vector opcodes that the kernel refuses, because they are no instruction, or a privileged one, among the one-byte
// opcodes (good_insns_64).
bool is_refused_as_vector(std::uint8_t opcode) {
  constexpr std::uint8_t kOthers[] = {0x60, 0x61, 0x62, 0x66, 0x67, 0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0xc4,
                                      0xc5, 0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xe4, 0xe5, 0xe6,
                                      0xe7, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xfa, 0xfb};
  const unsigned low = opcode & 0x0fU;
  const bool segment = opcode < 0x40 && (low == 6 || low == 7 || low >= 14);
  return segment || (opcode & 0xf0U) == 0x40 || std::ranges::find(kOthers, opcode) != std::end(kOthers);
}

} // namespace

std::optional<std::string_view> changed_by_uprobe(const Instruction& instruction) {
  std::size_t at = 0;
  bool idle_rex = false; // without effect, because a prefix follows
  for (; at + 1 < instruction.length &&
         (is_legacy_prefix(instruction.bytes[at]) || is_rex(instruction.bytes[at]));
       ++at)
    idle_rex = idle_rex || (is_rex(instruction.bytes[at]) && is_legacy_prefix(instruction.bytes[at + 1]));
  const std::uint8_t opcode = instruction.bytes[at];
  const std::size_t vector =
      at + 1 < instruction.length ? vector_prefix_bytes(opcode, instruction.bytes[at + 1]) : 0;
  if (vector != 0 && at + vector < instruction.length && is_taken_for_another(instruction.bytes[at + vector]))
    return "take this vector instruction for a jump, a call or a nop";
  if (vector != 0 && at + vector < instruction.length && is_refused_as_vector(instruction.bytes[at + vector]))
    return "do not support this vector instruction";
  if (instruction.repeats)
    return "count each iteration of this instruction as a hit";
  if (instruction.hazard == StepHazard::EntersKernel)
    return "show this system call the address of their copy, and run the next instruction there";
  if (opcode == 0x9c)
    return "push the trap flag of their single step here";
  if (idle_rex && instruction.rip_relative)
    return "address other memory here";
  return std::nullopt;
}

} // namespace proberace
