// H52, H53, H54, H58, H59, and H32's "nothing done": every covered form, emulated and run by the processor
// from the same random state; registers, flags (those the manual leaves undefined too), memory, PC and fault
// must agree.
#include "harness/code/operand.h"
#include "harness/emulate/array_context.h"
#include "harness/emulate/opcode_forms.h"
#include "harness/emulate/semantics.h"
#include "harness/emulate/test_abilities.h"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

namespace proberace {

namespace {

// ---- the memory: code | nothing | two writable pages | one read-only | one without access | a hole. Below
// 2 GiB, so that 32-bit addresses and absolute displacements reach it.

class Arena {
public:
  static constexpr std::size_t kPages = 8;
  static constexpr std::size_t kData = 3 * kPageBytes;
  static constexpr std::size_t kDataBytes = 2 * kPageBytes;
  static constexpr std::size_t kReadOnly = 5 * kPageBytes;
  static constexpr std::size_t kNoAccess = 6 * kPageBytes;
  static constexpr std::size_t kHole = 7 * kPageBytes;

  Arena() {
    void* const at = ::mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (at == MAP_FAILED)
      return;
    start_ = address_of(at);
    ::mprotect(bytes_at(start_ + 2 * kPageBytes), kPageBytes, PROT_NONE);
    ::mprotect(bytes_at(start_ + kData), kDataBytes, PROT_READ | PROT_WRITE);
    ::mprotect(bytes_at(start_ + kReadOnly), kPageBytes, PROT_READ);
    ::mprotect(bytes_at(start_ + kNoAccess), kPageBytes, PROT_NONE);
    ::munmap(bytes_at(start_ + kHole), kPageBytes);
  }
  ~Arena() { ::munmap(bytes_at(start_), kPages * kPageBytes); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  bool mapped() const { return start_ != Address{}; }
  Address start() const { return start_; }
  std::span<std::uint8_t> data() const { return {bytes_at(start_ + kData), kDataBytes}; }
  bool holds(Address a) const {
    return start_ + kData <= a && a < start_ + static_cast<std::ptrdiff_t>(kPages * kPageBytes);
  }

private:
  Address start_{};
};

enum class Where {
  Aligned,
  Anywhere,
  AcrossPages,
  ReadOnly,
  IntoReadOnly,
  NoAccess,
  IntoNoAccess,
  Hole,
  NotCanonical,
  KernelHalf
};

Address aimed_at(const Arena& arena, Where where, std::uint64_t entropy) {
  const auto in_page = static_cast<std::ptrdiff_t>(entropy % (kPageBytes - 64) + 32);
  const auto before_end = -static_cast<std::ptrdiff_t>(entropy % 7 + 1);
  const Address data = arena.start() + Arena::kData;
  const Address read_only = arena.start() + Arena::kReadOnly;
  switch (where) {
  case Where::Aligned: return data + (in_page & ~7);
  case Where::Anywhere: return data + in_page;
  case Where::AcrossPages: return data + kPageBytes + before_end;
  case Where::ReadOnly: return read_only + in_page;
  case Where::IntoReadOnly: return read_only + before_end;
  case Where::NoAccess: return arena.start() + Arena::kNoAccess + in_page;
  case Where::IntoNoAccess: return arena.start() + Arena::kNoAccess + before_end;
  case Where::Hole: return arena.start() + Arena::kHole + in_page;
  case Where::NotCanonical: return Address{0x1234'0000'0000'0000 + entropy % kPageBytes};
  case Where::KernelHalf: return Address{0xFFFF'9000'0000'0000 + entropy % kPageBytes};
  }
  return data;
}

// ---- the generator: everything about a case but the opcode

struct Background {
  bool has_rex = false, operand_size = false, address_size = false, locked = false;
  std::uint8_t rex = 0, segment = 0, modrm = 0, sib = 0;
  std::int32_t displacement = 0;
  std::uint64_t immediate = 0;
  std::vector<std::uint64_t> registers{};
  std::vector<std::uint64_t> memory{};
  std::uint64_t status = 0, entropy = 0;
  bool alignment_check = false, direction = false, canonical = false;
  Where operand = Where::Anywhere, stack = Where::Anywhere;
};

// For RapidCheck's counterexample.
void showValue(const Background& b, std::ostream& out) {
  out << fmt::format(
      "rex {} {:#x}, prefixes 66 {} 67 {} f0 {} segment {:#x}, modrm {:#x} sib {:#x} displacement "
      "{:#x} immediate {:#x} status {:#x} ac {} df {} canonical {} operand {} stack {}",
      b.has_rex, b.rex, b.operand_size, b.address_size, b.locked, b.segment, b.modrm, b.sib, b.displacement,
      b.immediate, b.status, b.alignment_check, b.direction, b.canonical, static_cast<int>(b.operand),
      static_cast<int>(b.stack));
}

rc::Gen<std::uint64_t> word() {
  return rc::gen::weightedOneOf<std::uint64_t>(
      {{4, rc::gen::arbitrary<std::uint64_t>()},
       {2, rc::gen::inRange<std::uint64_t>(0, 70)},
       {1, rc::gen::element<std::uint64_t>(0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF'FFFF, 0x8000'0000,
                                           0xFFFF'FFFF, 0x7FFF'FFFF'FFFF'FFFF, 0x8000'0000'0000'0000,
                                           0xFFFF'FFFF'FFFF'FFFF)}});
}

rc::Gen<bool> one_in(int n) {
  return rc::gen::map(rc::gen::resize(100, rc::gen::inRange(0, n)), [n](int i) { return i == n - 1; });
}

// ModRM and SIB bytes; one in four times that of disp8(%rsp), which push, pop and call treat by rules of its
// own.
rc::Gen<std::uint8_t> often(std::uint8_t byte) {
  return rc::gen::weightedOneOf<std::uint8_t>(
      {{3, rc::gen::resize(100, rc::gen::arbitrary<std::uint8_t>())}, {1, rc::gen::just(byte)}});
}

rc::Gen<Where> where() {
  return rc::gen::weightedElement<Where>({{8, Where::Anywhere},
                                          {8, Where::Aligned},
                                          {2, Where::AcrossPages},
                                          {1, Where::ReadOnly},
                                          {1, Where::IntoReadOnly},
                                          {1, Where::NoAccess},
                                          {1, Where::IntoNoAccess},
                                          {1, Where::Hole},
                                          {1, Where::NotCanonical},
                                          {1, Where::KernelHalf}});
}

rc::Gen<Background> background() {
  using B = Background;
  return rc::gen::build<B>(
      rc::gen::set(&B::has_rex), rc::gen::set(&B::operand_size, one_in(4)),
      rc::gen::set(&B::address_size, one_in(6)), rc::gen::set(&B::locked, one_in(4)),
      rc::gen::set(&B::rex, rc::gen::resize(100, rc::gen::inRange<std::uint8_t>(0x40, 0x50))),
      rc::gen::set(&B::segment,
                   rc::gen::weightedElement<std::uint8_t>({{9, 0}, {1, 0x64}, {1, 0x65}, {1, 0x2E}})),
      rc::gen::set(&B::modrm, often(0x44)), rc::gen::set(&B::sib, often(0x24)),
      rc::gen::set(&B::displacement), rc::gen::set(&B::immediate, word()),
      rc::gen::set(&B::registers, rc::gen::container<std::vector<std::uint64_t>>(16, word())),
      rc::gen::set(&B::memory, rc::gen::container<std::vector<std::uint64_t>>(16, word())),
      rc::gen::set(&B::status, rc::gen::resize(100, rc::gen::arbitrary<std::uint64_t>())),
      rc::gen::set(&B::entropy, rc::gen::resize(100, rc::gen::arbitrary<std::uint64_t>())),
      rc::gen::set(&B::alignment_check, one_in(12)), rc::gen::set(&B::direction, one_in(8)),
      rc::gen::set(&B::canonical), rc::gen::set(&B::operand, where()), rc::gen::set(&B::stack, where()));
}

// ---- from opcode and background to bytes and registers

struct Encoded {
  std::vector<std::uint8_t> bytes;
  std::optional<std::size_t> displacement_at; // of four bytes
};

Encoded encode(const OpcodeForm& form, const Background& b) {
  using I = OpcodeForm::Immediate;
  Encoded e;
  auto& bytes = e.bytes;
  const auto little_endian = [&bytes](std::uint64_t word, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
      bytes.push_back(static_cast<std::uint8_t>(word >> (8 * i)));
  };
  if (b.segment != 0)
    bytes.push_back(b.segment);
  if (b.operand_size)
    bytes.push_back(0x66);
  if (b.address_size)
    bytes.push_back(0x67);
  if (b.locked)
    bytes.push_back(0xF0);
  if (form.repeat_prefix)
    bytes.push_back(0xF3);
  if (b.has_rex)
    bytes.push_back(b.rex);
  bytes.insert(bytes.end(), form.opcode.begin(), form.opcode.end());
  if (form.modrm) {
    const int modrm = form.digit < 0 ? b.modrm : (b.modrm & 0xC7) | form.digit << 3;
    const int mod = modrm >> 6, rm = modrm & 7;
    bytes.push_back(static_cast<std::uint8_t>(modrm));
    if (mod != 3 && rm == 4)
      bytes.push_back(b.sib);
    if (mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (b.sib & 7) == 5)))) {
      e.displacement_at = bytes.size();
      little_endian(static_cast<std::uint32_t>(b.displacement), 4);
    } else if (mod == 1) {
      little_endian(static_cast<std::uint32_t>(b.displacement), 1);
    }
  }
  const bool wide = b.has_rex && (b.rex & 8) != 0;
  switch (form.immediate) {
  case I::None: break;
  case I::Byte: little_endian(b.immediate, 1); break;
  case I::Word: little_endian(b.immediate, 2); break;
  case I::Operand: little_endian(b.immediate, !wide && b.operand_size ? 2 : 4); break;
  case I::Full: little_endian(b.immediate, wide ? 8 : b.operand_size ? 2 : 4); break;
  case I::Branch: little_endian(b.immediate, 4); break;
  case I::Offset:
    e.displacement_at = bytes.size();
    little_endian(0, b.address_size ? 4 : 8);
    break;
  }
  return e;
}

std::uint64_t& slot(RegisterFile& file, Register r) {
  return file[static_cast<std::size_t>(r)];
}

std::uint64_t segment_base_of(const Operand& o) {
  return o.segment ? ArrayContext(RegisterFile{}).segment_base(*o.segment) : 0;
}

Address address_of_operand(const Operand& o, const RegisterFile& file, bool narrow) {
  std::uint64_t at = static_cast<std::uint64_t>(o.displacement);
  if (o.base)
    at += file[static_cast<std::size_t>(*o.base)];
  if (o.index)
    at += file[static_cast<std::size_t>(*o.index)] * o.scale;
  if (narrow)
    at &= 0xFFFFFFFF;
  return Address{at + segment_base_of(o)};
}

// Chooses the registers the operand is reached by so that it lies (nearly) at `target`.
void aim(const Operand& o, Address target, RegisterFile& file) {
  const std::uint64_t needed =
      value(target) - segment_base_of(o) - static_cast<std::uint64_t>(o.displacement);
  if (o.base && o.index && *o.base == *o.index)
    slot(file, *o.base) = needed / (1U + o.scale);
  else if (o.base)
    slot(file, *o.base) = needed - (o.index ? slot(file, *o.index) * o.scale : 0);
  else if (o.index)
    slot(file, *o.index) = needed / o.scale;
}

struct Compared {
  Instruction instruction;
  RegisterFile registers{};
};

// None if the bytes are no instruction, or its operand would lie in memory of someone else's.
std::optional<Compared> make_case(const Arena& arena, const OpcodeForm& form, const Background& b) {
  constexpr std::uint64_t kReserved = 0x202, kDirection = 0x400, kAlignmentCheck = 0x40000;
  const Address at = arena.start() + ((b.entropy & 64) != 0 ? kPageBytes - 2 : 64); // H48: across a page
  Encoded encoded = encode(form, b);
  auto instruction = decode(at, encoded.bytes);
  if (!instruction || instruction->length != encoded.bytes.size())
    return std::nullopt;
  Compared c{*instruction};
  std::copy(b.registers.begin(), b.registers.end(), c.registers.begin());
  if (b.canonical)
    for (std::uint64_t& r : c.registers)
      r &= 0x7FFF'FFFF'FFFF;
  // A thread cannot be resumed with an rsp that is not canonical: iretq faults.
  const Where stack = b.stack == Where::NotCanonical ? Where::KernelHalf : b.stack;
  slot(c.registers, Register::Rsp) = value(aimed_at(arena, stack, b.entropy >> 16));
  slot(c.registers, Register::Rip) = value(at);
  slot(c.registers, Register::Rflags) = kReserved | (b.status & kStatusFlags) |
                                        (b.direction ? kDirection : 0) |
                                        (b.alignment_check ? kAlignmentCheck : 0);
  if (form.opcode[0] == 0xC9) // leave
    slot(c.registers, Register::Rbp) = value(aimed_at(arena, b.operand, b.entropy));
  Operands operands = operands_of(c.instruction);
  for (std::size_t i = 0; i < operands.count; ++i) {
    Operand* o = &operands.list[i];
    if (o->kind != Operand::Kind::Memory)
      continue;
    const Address target = aimed_at(arena, b.operand, b.entropy);
    if (!o->base && !o->index && encoded.displacement_at) { // absolute or RIP-relative: in the bytes
      const bool relative = instruction->rip_relative;
      const std::uint64_t displacement =
          value(target) - (relative ? value(instruction->next()) : segment_base_of(*o));
      const std::size_t bytes = form.immediate == OpcodeForm::Immediate::Offset && !b.address_size ? 8 : 4;
      std::memcpy(encoded.bytes.data() + *encoded.displacement_at, &displacement, bytes);
      instruction = decode(at, encoded.bytes);
      if (!instruction)
        return std::nullopt;
      c.instruction = *instruction;
      operands = operands_of(c.instruction);
      o = &operands.list[i];
    }
    aim(*o, target, c.registers);
    const auto rsp = static_cast<std::int64_t>(slot(c.registers, Register::Rsp)) >> 47;
    if (rsp != 0 && rsp != -1)
      return std::nullopt;
    const Address reached = address_of_operand(*o, c.registers, operands.narrow_address);
    if (!arena.holds(reached) && b.operand != Where::NotCanonical && b.operand != Where::KernelHalf)
      return std::nullopt;
    if (!arena.holds(reached) && value(reached) >> 47 == 0)
      return std::nullopt;
  }
  return c;
}

// ---- the model is the processor; the judge

struct Outcomes {
  std::map<std::string, int, std::less<>> completed, completed_in_memory, faulted, refused;
};

std::string hex(const RegisterFile& file) {
  std::string text;
  for (std::size_t i = 0; i < file.size(); ++i)
    text += fmt::format("{}{:x}", i % 6 == 0 ? "\n    " : " ", file[i]);
  return text;
}

std::string describe_fault(const std::optional<HardwareFault>& f) {
  return f ? fmt::format("signal {} code {} at {:#x}", f->signal, f->code, value(f->address)) : "none";
}

// Empty if they agree.
std::string disagreement(const Arena& arena, NativeStepper& processor, const Background& b, const Compared& c,
                         const MicroPlan& plan, Outcomes& tally) {
  const auto fill = [&] {
    for (std::size_t i = 0; i < Arena::kDataBytes / 8; ++i) {
      std::uint64_t word = b.memory[i % b.memory.size()] + (i & 1);
      word &= b.canonical ? 0x7FFF'FFFF'FFFF : ~std::uint64_t{0};
      std::memcpy(arena.data().data() + 8 * i, &word, sizeof word);
    }
  };
  const auto copy = [&] { return std::vector<std::uint8_t>(arena.data().begin(), arena.data().end()); };
  std::memcpy(bytes_at(c.instruction.address), c.instruction.bytes.data(), c.instruction.length);
  fill();
  const NativeStep native = processor.step(c.registers);
  const auto native_memory = copy();
  fill();
  ArrayContext emulated(c.registers);
  plan.run(emulated, plan);
  const auto emulated_memory = copy();

  const std::string name(mnemonic_name(c.instruction));
  if (native.fault)
    ++tally.faulted[name];
  else
    ++(plan.address.has_base || plan.address.has_index || plan.address.displacement != 0
           ? tally.completed_in_memory
           : tally.completed)[name];
  std::string wrong;
  if (describe_fault(native.fault) != describe_fault(emulated.fault) || emulated.raised > 1)
    wrong += fmt::format("\n  fault: native {}, emulated {}", describe_fault(native.fault),
                         describe_fault(emulated.fault));
  if (native.fault && emulated.registers != c.registers)
    wrong += "\n  registers changed by an instruction that faulted";
  if (native.after != emulated.registers)
    wrong += fmt::format("\n  registers: before{}\n  native{}\n  emulated{}", hex(c.registers),
                         hex(native.after), hex(emulated.registers));
  const auto different = std::mismatch(native_memory.begin(), native_memory.end(), emulated_memory.begin());
  if (different.first != native_memory.end())
    wrong += fmt::format("\n  memory: at data+{:#x} native {:#x}, emulated {:#x}",
                         different.first - native_memory.begin(), *different.first, *different.second);
  return wrong.empty() ? wrong : disassemble(c.instruction) + wrong;
}

} // namespace

// Fails if a flag, an upper half, an order of effects or a fault differs from this processor's.
TEST(Emulation, H32_H52_H53_H54_H58_H59_AgreesWithTheProcessor) {
  const Arena arena;
  if (!arena.mapped())
    GTEST_SKIP() << "no memory below 2 GiB";
  NativeStepper processor;
  const std::vector<OpcodeForm> forms = opcode_forms();
  Outcomes tally;
  const bool agreed = rc::check("every form agrees with the processor", [&] {
    const Background b = *background().as("background");
    // A supervisor loads and stores: of an operand that lies across two pages, neither of which it may write,
    // it names the second where the hardware names the first.
    const bool supervised = (b.entropy & 128) != 0 && b.operand != Where::IntoNoAccess;
    for (const OpcodeForm& form : forms) {
      const auto c = make_case(arena, form, b);
      if (!c)
        continue;
      const auto plan = plan_emulation(c->instruction, supervised ? kSupervisor : kInProcess);
      if (!plan) {
        ++tally.refused[std::string(mnemonic_name(c->instruction))];
        continue;
      }
      const std::string wrong = disagreement(arena, processor, b, *c, **plan, tally);
      if (!wrong.empty())
        RC_FAIL(wrong);
    }
  });
  EXPECT_TRUE(agreed);
  // Nothing in the table went untried.
  const auto tried = [&](std::string_view mnemonic) {
    const auto count = [&](const auto& map) {
      const auto it = map.find(mnemonic);
      return it != map.end() ? it->second : 0;
    };
    EXPECT_GE(count(tally.completed) + count(tally.completed_in_memory), 1) << mnemonic;
  };
  for (const ShapeRow& row : shape_rows())
    tried(row.mnemonic);
  for (const ComputeRow& row : compute_rows())
    tried(row.mnemonic);
  int cases = 0, faults = 0;
  for (const auto& [name, n] : tally.completed)
    cases += n;
  for (const auto& [name, n] : tally.completed_in_memory)
    cases += n;
  for (const auto& [name, n] : tally.faulted)
    faults += n;
  EXPECT_GT(faults, 100);
  RecordProperty("completed", cases);
  RecordProperty("faulted", faults);
}

} // namespace proberace
