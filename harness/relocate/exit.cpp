#include "harness/relocate/exit.h"

#include "harness/relocate/relocate.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <vector>

namespace proberace {

namespace {

std::unexpected<Error> refused(const Instruction& i, std::string_view why) {
  return std::unexpected(
      Error{ErrorKind::InstructionUnsupported, i.address, fmt::format("{} {}", mnemonic_name(i), why)});
}

// Opcode and operands behind the prefixes (SDM vol. 2A, 2.1.1 and 2.2.1).
struct Opcode {
  std::size_t at = 0; // offset of the opcode's first byte
  bool operand_size = false;
  bool rex_w = false;
  bool rex_b = false;
};

bool is_legacy_prefix(std::uint8_t byte) {
  constexpr std::uint8_t kPrefixes[] = {0xF0, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0x66, 0x67};
  return std::find(std::begin(kPrefixes), std::end(kPrefixes), byte) != std::end(kPrefixes);
}

Opcode opcode_of(const Instruction& i) {
  Opcode o;
  while (is_legacy_prefix(i.bytes[o.at]))
    o.operand_size |= i.bytes[o.at++] == 0x66;
  if ((i.bytes[o.at] & 0xF0) == 0x40) {
    o.rex_w = (i.bytes[o.at] & 8) != 0;
    o.rex_b = (i.bytes[o.at] & 1) != 0;
    ++o.at;
  }
  return o;
}

// A relative branch's target: its displacement is the last 1 or 4 bytes.
Address target_of(const Instruction& i, bool short_form) {
  if (short_form)
    return i.next() + static_cast<std::int8_t>(i.bytes[i.length - 1U]);
  std::int32_t displacement = 0;
  std::memcpy(&displacement, i.bytes.data() + i.length - sizeof displacement, sizeof displacement);
  return i.next() + displacement;
}

class Writer {
public:
  explicit Writer(std::optional<Address> at) : at_(at) {}

  void bytes(std::span<const std::uint8_t> code) { code_.insert(code_.end(), code.begin(), code.end()); }
  void byte(std::uint8_t b) { code_.push_back(b); }

  static constexpr std::size_t kLongestJump = 6;
  // jmp rel32, or jmp *word(%rip).
  void jump(Address to) {
    if (const auto near = displacement(to, 5)) {
      byte(0xE9);
      word32(*near);
    } else {
      byte(0xFF);
      byte(0x25);
      literal(to);
    }
  }
  // The bytes jump(to) will take at this place.
  std::size_t jump_bytes(Address to) const { return displacement(to, 5) ? 5 : kLongestJump; }
  // push word(%rip): one instruction, whatever the value.
  void push(Address word) {
    byte(0xFF);
    byte(0x35);
    literal(word);
  }

  std::expected<CodeWithExit, Error> finish(const Instruction& i) {
    for (const auto& [where, word] : literals_) {
      const auto distance = static_cast<std::int32_t>(code_.size() - (where + 4));
      std::memcpy(code_.data() + where, &distance, sizeof distance);
      for (std::size_t b = 0; b < sizeof(std::uint64_t); ++b)
        byte(static_cast<std::uint8_t>(value(word) >> (8 * b)));
    }
    if (code_.size() > kMaxExitBytes)
      return refused(i, "takes more room than a slot has");
    CodeWithExit result;
    std::copy(code_.begin(), code_.end(), result.bytes.begin());
    result.length = static_cast<std::uint8_t>(code_.size());
    return result;
  }

private:
  std::optional<std::int32_t> displacement(Address to, std::size_t instruction_bytes) const {
    if (!at_)
      return std::nullopt;
    const std::ptrdiff_t d = to - (*at_ + static_cast<std::ptrdiff_t>(code_.size() + instruction_bytes));
    if (d < std::numeric_limits<std::int32_t>::min() || d > std::numeric_limits<std::int32_t>::max())
      return std::nullopt;
    return static_cast<std::int32_t>(d);
  }
  void word32(std::int32_t w) {
    for (int b = 0; b < 4; ++b)
      byte(static_cast<std::uint8_t>(static_cast<std::uint32_t>(w) >> (8 * b)));
  }
  // Four bytes that will hold the distance to the word, which lies behind the code.
  void literal(Address word) {
    literals_.emplace_back(code_.size(), word);
    word32(0);
  }

  const std::optional<Address> at_;
  std::vector<std::uint8_t> code_;
  std::vector<std::pair<std::size_t, Address>> literals_;
};

std::expected<CodeWithExit, Error> relative_jump(const Instruction& i, const Opcode& o, Writer& w) {
  const std::uint8_t op = i.bytes[o.at];
  const bool two_bytes = op == 0x0F; // 0F 80..8F, rel32
  const bool short_form = op == 0xEB || (op >= 0x70 && op <= 0x7F) || (op >= 0xE0 && op <= 0xE3);
  const Address target = target_of(i, short_form);
  if (op == 0xEB || op == 0xE9) {
    w.jump(target);
    return w.finish(i);
  }
  if (!two_bytes && !short_form)
    return refused(i, "is a relative branch of an unknown form");
  // The condition, in its short form, over the way on: taken behind it.
  if (op >= 0xE0 && op <= 0xE3 && o.at > 0 && i.bytes[o.at - 1] == 0x67)
    w.byte(0x67); // jecxz, loop on ecx
  w.byte(two_bytes ? static_cast<std::uint8_t>(i.bytes[o.at + 1] - 0x10) : op);
  w.byte(static_cast<std::uint8_t>(w.jump_bytes(i.next() - 1))); // as seen from one byte further on
  w.jump(i.next());
  w.jump(target);
  return w.finish(i);
}

// FF /2 becomes the push and FF /4 with the same operand.
std::expected<CodeWithExit, Error> absolute_call(const Instruction& i, const Opcode& o,
                                                 std::optional<Address> at, Writer& w) {
  constexpr std::uint8_t kRegisterForm = 0xC0;
  constexpr std::uint8_t kRsp = 4;
  const std::uint8_t modrm = i.bytes[o.at + 1];
  const bool in_register = (modrm & kRegisterForm) == kRegisterForm;
  const bool has_sib = !in_register && (modrm & 7) == kRsp;
  const std::uint8_t base = has_sib ? i.bytes[o.at + 2] & 7 : modrm & 7;
  if (base == kRsp && !o.rex_b && (in_register || has_sib))
    return refused(i, "calls through the stack pointer, which the push has moved");
  w.push(i.next());
  constexpr std::size_t kPushBytes = 6;
  Instruction jump = i;
  jump.bytes[o.at + 1] = static_cast<std::uint8_t>((modrm & ~0x38) | (4 << 3));
  const auto moved =
      at ? relocate(jump, *at + static_cast<std::ptrdiff_t>(kPushBytes)) : relocate(jump, i.address);
  if (!moved)
    return std::unexpected(moved.error());
  w.bytes(moved->code());
  return w.finish(i);
}

} // namespace

std::expected<CodeWithExit, Error> relocate_with_exit(const Instruction& i, std::optional<Address> at) {
  if (i.hazard != StepHazard::None)
    return refused(i, reason(i.hazard));
  if (i.rip_relative && !at)
    return refused(i, "has a RIP-relative operand, which code that may lie anywhere cannot reach");
  const Opcode o = opcode_of(i);
  Writer w(at);
  if (i.flow != Flow::Next && i.flow != Flow::Return && o.operand_size && !o.rex_w)
    return refused(i, "has an operand-size prefix, which vendors read differently");
  switch (i.flow) {
  case Flow::RelativeJump: return relative_jump(i, o, w);
  case Flow::RelativeCall: {
    if (i.bytes[o.at] != 0xE8)
      return refused(i, "is a relative call of an unknown form");
    w.push(i.next());
    w.jump(target_of(i, false));
    return w.finish(i);
  }
  case Flow::AbsoluteCall: return absolute_call(i, o, at, w);
  case Flow::AbsoluteJump:
  case Flow::Return:
  case Flow::Next: break;
  }
  const auto moved = relocate(i, at.value_or(i.address)); // without `at` nothing of it is relative
  if (!moved)
    return std::unexpected(moved.error());
  w.bytes(moved->code());
  if (i.flow == Flow::Next)
    w.jump(i.next());
  return w.finish(i);
}

} // namespace proberace
