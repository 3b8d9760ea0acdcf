#include "harness/relocate/exit.h"

#include "harness/base/failure.h"
#include "harness/relocate/relocate.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

namespace proberace {

namespace {

bool fits_32(std::ptrdiff_t distance) noexcept {
  return distance >= std::numeric_limits<std::int32_t>::min() &&
         distance <= std::numeric_limits<std::int32_t>::max();
}

// Code under construction at its place, and the 8-byte words behind it that it refers to.
class Assembly {
public:
  explicit Assembly(Address at) : at_(at) {}

  Address here() const noexcept { return at_ + static_cast<std::ptrdiff_t>(code_.length); }

  void emit(std::initializer_list<std::uint8_t> bytes) { emit(std::span(bytes.begin(), bytes.size())); }
  void emit(std::span<const std::uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), code_.bytes.begin() + code_.length);
    code_.length = static_cast<std::uint8_t>(code_.length + bytes.size());
  }
  void emit_32(std::int32_t word) {
    std::uint8_t bytes[4];
    std::memcpy(bytes, &word, sizeof word);
    emit(std::span<const std::uint8_t>(bytes));
  }

  void jump_to(Address target) {
    const std::ptrdiff_t distance = target - (here() + 5);
    if (fits_32(distance)) {
      emit({0xE9});
      emit_32(static_cast<std::int32_t>(distance));
    } else {
      emit({0xFF, 0x25}); // jmp *word(%rip)
      refer_to(value(target));
    }
  }
  void push_word(std::uint64_t word) {
    emit({0xFF, 0x35}); // push word(%rip)
    refer_to(word);
  }

  // Appends the words, aligned (a program may have set AC), and resolves the references to them.
  ExitCode finish() {
    while (references_ != 0 && value(here()) % sizeof(std::uint64_t) != 0)
      emit({kInt3});
    for (std::size_t i = 0; i < references_; ++i) {
      const auto distance = static_cast<std::int32_t>(code_.length) - (reference_[i].at + 4);
      std::memcpy(code_.bytes.data() + reference_[i].at, &distance, sizeof distance);
      std::uint8_t word[8];
      std::memcpy(word, &reference_[i].word, sizeof word);
      emit(std::span<const std::uint8_t>(word));
    }
    return code_;
  }

private:
  void refer_to(std::uint64_t word) {
    reference_[references_++] = {code_.length, word};
    emit_32(0);
  }

  struct Reference {
    std::int32_t at; // of the 32-bit displacement, in bytes
    std::uint64_t word;
  };
  Address at_;
  ExitCode code_;
  Reference reference_[2]{};
  std::size_t references_ = 0;
};

std::unexpected<Error> unsupported(const Instruction& instruction, std::string_view why) {
  return failure(ErrorKind::InstructionUnsupported, instruction.address, "{}: {}", mnemonic_name(instruction),
                 why);
}

constexpr std::uint8_t kLegacyPrefixes[] = {0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};

std::size_t legacy_prefixes(const Instruction& i) noexcept {
  std::size_t n = 0;
  while (n < i.length && std::ranges::find(kLegacyPrefixes, i.bytes[n]) != std::end(kLegacyPrefixes))
    ++n;
  return n;
}

bool is_rex(std::uint8_t byte) noexcept {
  return (byte & 0xF0) == 0x40;
}

std::size_t opcode_offset(const Instruction& i) noexcept {
  const std::size_t n = legacy_prefixes(i);
  return n < i.length && is_rex(i.bytes[n]) ? n + 1 : n;
}

// jmp, jcc, loop*, jrcxz (SDM vol. 2A, 2.2.1 and the pages of each): 8-bit or 32-bit displacement at the end.
std::optional<Address> relative_target(const Instruction& i, std::size_t opcode) noexcept {
  const bool near = i.bytes[opcode] == 0xE9 || i.bytes[opcode] == 0xE8 || i.bytes[opcode] == 0x0F;
  const std::size_t immediate = opcode + (i.bytes[opcode] == 0x0F ? 2 : 1);
  if (near) {
    std::int32_t distance = 0;
    if (i.length != immediate + sizeof distance)
      return std::nullopt; // a 16-bit displacement
    std::memcpy(&distance, i.bytes.data() + immediate, sizeof distance);
    return i.next() + distance;
  }
  if (i.length != immediate + 1)
    return std::nullopt;
  return i.next() + static_cast<std::int8_t>(i.bytes[immediate]);
}

Status emit_jump(Assembly& out, const Instruction& i) {
  const std::size_t opcode = opcode_offset(i);
  const auto target = relative_target(i, opcode);
  if (!target)
    return unsupported(i, "a branch of unusual form");
  const std::uint8_t byte = i.bytes[opcode];
  if (byte == 0xE9 || byte == 0xEB) {
    out.jump_to(*target);
    return {};
  }
  const bool conditional_near = byte == 0x0F;
  if (conditional_near || (byte & 0xF0) == 0x70) {
    const auto condition = static_cast<std::uint8_t>((conditional_near ? i.bytes[opcode + 1] : byte) & 0x0F);
    const std::ptrdiff_t distance = *target - (out.here() + 6);
    if (fits_32(distance)) {
      out.emit({0x0F, static_cast<std::uint8_t>(0x80 | condition)});
      out.emit_32(static_cast<std::int32_t>(distance));
    } else {
      out.emit({static_cast<std::uint8_t>(0x70 | (condition ^ 1)), 6}); // the opposite, over jmp *word(%rip)
      out.jump_to(*target);
    }
    out.jump_to(i.next());
    return {};
  }
  // loop, loope, loopne, jrcxz, with the prefixes that choose their counter.
  out.emit(i.code().first(opcode + 1));
  out.emit({2, 0xEB}); // taken: over a short jump, that goes over the jump to the target
  const bool long_jump = !fits_32(*target - (out.here() + 6));
  out.emit({static_cast<std::uint8_t>(long_jump ? 6 : 5)});
  out.jump_to(*target);
  out.jump_to(i.next());
  return {};
}

// call *r/m is FF /2, jmp *r/m is FF /4 (SDM vol. 2A). The push that stands for the call's own moves rsp
// before the operand is read.
Status emit_indirect_call(Assembly& out, const Instruction& i) {
  const std::size_t opcode = opcode_offset(i);
  const auto moved = relocate(i, out.here() + 6); // behind the push
  if (!moved)
    return std::unexpected(moved.error());
  if (i.bytes[opcode] != 0xFF || opcode + 1 >= i.length || i.operand_size_prefix)
    return unsupported(i, "a call of unusual form");
  std::array<std::uint8_t, kMaxInstructionBytes + 1> jump{};
  std::size_t length = i.length;
  std::copy_n(moved->bytes.begin(), length, jump.begin());
  const std::size_t modrm = opcode + 1;
  const std::uint8_t mode = jump[modrm] >> 6;
  const bool rex_b = opcode > 0 && is_rex(jump[opcode - 1]) && (jump[opcode - 1] & 1) != 0;
  const bool names_rsp = (jump[modrm] & 7) == 4 && !rex_b;
  if (mode == 3 && names_rsp)
    return unsupported(i, "calls through rsp, which its own push moves");
  if (mode != 3 && names_rsp && (jump[modrm + 1] & 7) == 4) { // base rsp, in the SIB byte
    const std::size_t displacement = modrm + 2;
    const bool rex_x = opcode > 0 && is_rex(jump[opcode - 1]) && (jump[opcode - 1] & 2) != 0;
    if ((jump[modrm + 1] & 0x38) != 0x20 || rex_x) // where it lies is not known
      return unsupported(i, "an index of its operand may reach where the return address goes");
    if (mode == 0) {
      jump[modrm] = static_cast<std::uint8_t>(jump[modrm] | 0x40);
      jump[displacement] = 8;
      ++length;
    } else if (mode == 1) {
      if (const auto distance = static_cast<std::int8_t>(jump[displacement]); distance > 127 - 8)
        return unsupported(i, "its operand's distance from rsp leaves no room to mend");
      else if (-16 < distance && distance < 0) // a call reads it before it pushes, the copy afterwards
        return unsupported(i, "its operand lies where the return address goes");
      jump[displacement] = static_cast<std::uint8_t>(jump[displacement] + 8);
    } else {
      std::int32_t distance = 0;
      std::memcpy(&distance, jump.data() + displacement, sizeof distance);
      if (distance > std::numeric_limits<std::int32_t>::max() - 8)
        return unsupported(i, "its operand's distance from rsp leaves no room to mend");
      if (-16 < distance && distance < 0)
        return unsupported(i, "its operand lies where the return address goes");
      distance += 8;
      std::memcpy(jump.data() + displacement, &distance, sizeof distance);
    }
  }
  jump[modrm] = static_cast<std::uint8_t>((jump[modrm] & ~0x38) | 0x20);
  out.push_word(value(i.next()));
  out.emit(std::span<const std::uint8_t>(jump.data(), length));
  return {};
}

} // namespace

std::expected<ExitCode, Error> relocate_with_exit(const Instruction& instruction, Address at) {
  if (instruction.hazard != StepHazard::None)
    return unsupported(instruction, reason(instruction.hazard));
  if (const Status movable = has_whole_target(instruction); !movable)
    return std::unexpected(movable.error());
  Assembly out(at);
  Status done;
  switch (instruction.flow) {
  case Flow::RelativeJump: done = emit_jump(out, instruction); break;
  case Flow::AbsoluteCall: done = emit_indirect_call(out, instruction); break;
  case Flow::RelativeCall: {
    const auto target = relative_target(instruction, opcode_offset(instruction));
    if (!target)
      return unsupported(instruction, "a call of unusual form");
    out.push_word(value(instruction.next()));
    out.jump_to(*target);
    break;
  }
  case Flow::AbsoluteJump:
  case Flow::Return:
  case Flow::Next: {
    const auto moved = relocate(instruction, at);
    if (!moved)
      return std::unexpected(moved.error());
    out.emit(moved->code());
    if (instruction.flow == Flow::Next)
      out.jump_to(instruction.next());
    break;
  }
  }
  if (!done)
    return std::unexpected(done.error());
  return out.finish();
}

std::expected<ExitCode, Error> relocate_anywhere(const Instruction& instruction) {
  if (instruction.rip_relative)
    return unsupported(instruction,
                       "has a RIP-relative operand, which code that may lie anywhere cannot reach");
  // From there nothing of the program is in rel32's reach, so nothing depends on the place.
  constexpr std::uintptr_t kFarFromEverything = std::uintptr_t{1} << 62;
  return relocate_with_exit(instruction, Address{kFarFromEverything});
}

} // namespace proberace
