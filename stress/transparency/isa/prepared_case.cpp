#include "stress/transparency/isa/prepared_case.h"

#include "harness/base/raw_syscall.h"
#include "harness/code/registers.h"
#include "stress/transparency/isa/bare_run.h"

#include <algorithm>
#include <asm/prctl.h>
#include <cstring>
#include <sys/syscall.h>

namespace proberace {

namespace {

__extension__ using Signed128 = __int128;
__extension__ using Unsigned128 = unsigned __int128;

constexpr std::uint64_t kAlwaysSet = 0x202;       // bit 1, and interrupts on
constexpr std::size_t kBefore = 64, kBehind = 96; // of a case's function, around its site
constexpr std::uint64_t kMostTurns = 24;          // of a repeated string instruction
constexpr std::uint64_t kHarmlessCall = 110;      // getppid; of int 0x80's numbers, that is iopl: refused

std::uint64_t segment_base(std::optional<Segment> s) {
  if (!s)
    return 0;
  std::uint64_t base = 0;
  raw_syscall(SYS_arch_prctl, *s == Segment::Fs ? ARCH_GET_FS : ARCH_GET_GS, &base);
  return base;
}

class Preparation {
public:
  Preparation(const IsaCase& c, const InstructionForm& form, const CaseSpace& space, std::size_t place,
              bool any_flags)
      : c_(c), form_(form), space_(space), place_(place), any_flags_(any_flags) {}

  std::expected<PreparedCase, Untried> run() {
    auto bytes = encode(form_, c_.operands);
    if (!bytes)
      return std::unexpected("not encodable");
    site_ = choose_site(bytes->size());
    if (const auto decoded = decode(site_, *bytes); decoded && decoded->length == bytes->size())
      p_.instruction = *decoded;
    else
      return std::unexpected("not decodable");
    p_.anatomy = anatomy_of(p_.instruction);
    choose_state();
    if (!aim_branch(*bytes))
      return std::unexpected("no place to branch to");
    for (std::size_t n = 0; n < p_.anatomy.memory.size(); ++n)
      if (p_.anatomy.memory[n].accessed)
        aim(p_.anatomy.memory[n], target(n), *bytes);
    // Again with the bytes that aiming may have changed.
    const auto decoded = decode(site_, *bytes);
    if (!decoded || decoded->length != bytes->size())
      return std::unexpected("not decodable");
    p_.instruction = *decoded;
    p_.anatomy = anatomy_of(p_.instruction);
    aim_control_flow();
    if (!stays_inside())
      return std::unexpected("reaches memory of the harness");
    write_code(*bytes);
    return std::move(p_);
  }

private:
  std::uint64_t& reg(Register r) { return p_.start.at(r); }

  // Anywhere in the middle of its place; now and then across the end of a page (H48).
  Address choose_site(std::size_t length) const {
    const bool at_page_end = place_ % (kPageBytes / CaseSpace::kPitch) == kPageBytes / CaseSpace::kPitch - 1;
    if (at_page_end && length > 1 && c_.place % 2 == 1)
      return space_.place(place_) + (CaseSpace::kPitch - 1 - c_.place / 2 % (length - 1));
    return space_.place(place_) + (384 + c_.place % 64);
  }

  std::uint64_t value_of(const Word& w) const {
    switch (w.kind) {
    case Word::Kind::Number: return w.number;
    case Word::Kind::Data: return value(space_.data()) + w.number % CaseSpace::kDataBytes;
    case Word::Kind::Stack: return value(stack_pointer(w.number));
    case Word::Kind::Code: return value(landing(static_cast<std::uint32_t>(w.number)));
    }
    return 0;
  }

  // In the used part of the stack, with its red zone; 16 bytes aligned, or not, or near the end.
  Address stack_pointer(std::uint64_t n) const {
    const std::uint64_t down = n % 16 == 1 || n % 16 == 3 ? n / 16 % kNearEnd : 256 + n / 16 % 4096;
    const Address at = space_.stack_end() - static_cast<std::ptrdiff_t>(down);
    return n % 4 == 3 ? at : Address{value(at) & ~std::uintptr_t{15}};
  }

  // Behind the instruction's function, among hlt.
  Address landing(std::uint32_t n) const { return site_ + static_cast<std::ptrdiff_t>(kBehind + n % 64); }

  void choose_state() {
    for (std::size_t i = 0; i < c_.registers.size(); ++i)
      p_.start.registers[i] = value_of(c_.registers[i]);
    for (const Word& w : c_.memory)
      p_.memory.push_back(value_of(w));
    reg(Register::Rsp) = value(stack_pointer(c_.stack));
    reg(Register::Rip) = value(site_);
    std::uint64_t flags = kAlwaysSet | (c_.status & kStatusFlags);
    if (any_flags_ && (c_.status >> 32 & 7) == 7)
      flags |= kDirectionFlag;
    if (any_flags_ && (c_.status >> 40 & 15) == 15)
      flags |= kAlignmentCheck;
    reg(Register::Rflags) = flags;
    choose_vectors();
    const Anatomy& a = p_.anatomy;
    if (a.restores_frame) { // a frame pointer above the stack pointer: what lies below it a signal may take
      reg(Register::Rsp) = value(space_.stack_end() - (1024 + (c_.stack % 4096 & ~15)));
      reg(Register::Rbp) = value(space_.stack_end() - (512 - c_.offset[0] % 256));
    }
    if (a.system_call)
      reg(Register::Rax) = kHarmlessCall;
    if (a.counter)
      reg(*a.counter) %= kMostTurns;
    if (a.divides && (c_.status >> 48 & 1) != 0)
      choose_dividend(*a.divides, c_.status >> 49);
    if (a.bit_offset)
      reg(*a.bit_offset) =
          static_cast<std::uint64_t>(static_cast<std::int64_t>(reg(*a.bit_offset) << 49) >> 49);
    // Below the red zone signal frames may lie.
    if (a.bit_offset && !a.memory.empty() && a.memory.front().base == Register::Rsp)
      reg(*a.bit_offset) %= 512;
    for (const MemoryReach& m : a.memory)
      if (m.vector_index)
        choose_indices(m);
  }

  // Chooses a dividend whose quotient is at, or just beyond, what fits. A random one nearly always overflows.
  void choose_dividend(const Divisor& by, std::uint64_t n) {
    const auto low_bits = [&](std::uint64_t word) {
      return by.bits == 64 ? word : word & ((std::uint64_t{1} << by.bits) - 1);
    };
    const auto extended = [&](std::uint64_t word) -> Signed128 {
      const unsigned above = 64 - by.bits;
      if (!by.is_signed)
        return static_cast<Signed128>(low_bits(word));
      return static_cast<std::int64_t>(word << above) >> above;
    };
    const Signed128 divisor = extended(reg(by.where));
    if (divisor == 0)
      return;
    const Signed128 limit = Signed128{1}
                            << (by.is_signed ? by.bits - 1 : by.bits); // the first that is too large
    const Signed128 least = by.is_signed ? -limit : 0;
    const Signed128 quotients[] = {
        least, limit - 1, least + 1, limit, 0, 1, by.is_signed ? least - 1 : limit + 1, limit / 2};
    const Signed128 quotient = quotients[n % std::size(quotients)];
    const Signed128 largest = divisor < 0 ? -divisor - 1 : divisor - 1;
    const Signed128 rest = (n >> 3 & 1) != 0 ? largest : 0;
    const bool negative = (quotient < 0) != (divisor < 0); // and so is the rest
    const Unsigned128 dividend = static_cast<Unsigned128>(quotient) * static_cast<Unsigned128>(divisor) +
                                 static_cast<Unsigned128>(negative ? -rest : rest);
    const auto low = low_bits(static_cast<std::uint64_t>(dividend));
    const auto high = low_bits(static_cast<std::uint64_t>(dividend >> by.bits));
    if (by.bits == 8) {
      reg(Register::Rax) = (reg(Register::Rax) & ~std::uint64_t{0xFFFF}) | high << 8 | low;
    } else {
      reg(Register::Rax) = low;
      reg(Register::Rdx) = high;
    }
  }

  void choose_vectors() {
    auto& image = p_.start.vector;
    const auto& words = c_.vectors;
    for (const VectorField& field : vector_fields())
      for (std::size_t at = 0; at < field.bytes; at += sizeof(std::uint64_t)) {
        const std::uint64_t word = words[(field.offset / 8 + at / 8 + field.offset / 64) % words.size()];
        std::memcpy(image.data() + field.offset + at, &word, std::min(sizeof word, field.bytes - at));
      }
    const auto x87_control = static_cast<std::uint16_t>(0x37F ^ (c_.x87_control & 0xF3F));
    const std::uint32_t mxcsr = 0x1F80 ^ (c_.mxcsr & 0xFFFF);
    std::memset(image.data(), 0, 32);
    std::memcpy(image.data(), &x87_control, sizeof x87_control);
    const auto top = static_cast<std::uint16_t>((c_.status >> 48 & 7) << 11);
    std::memcpy(image.data() + 2, &top, sizeof top);
    image[4] = static_cast<std::uint8_t>(c_.status >> 56); // registers in use
    std::memcpy(image.data() + 24, &mxcsr, sizeof mxcsr);
  }

  // Small, so that a scatter stays near its base.
  void choose_indices(const MemoryReach& m) {
    for (const VectorField& part : parts_of_vector_register(*m.vector_index))
      for (std::size_t at = 0; at < part.bytes; at += m.lane_bytes) {
        std::uint8_t* const lane = p_.start.vector.data() + part.offset + at;
        std::int64_t index = static_cast<std::int8_t>(lane[0]);
        std::memcpy(lane, &index, m.lane_bytes);
      }
  }

  Address target(std::size_t n) const {
    const Where where = c_.where[n % c_.where.size()];
    const std::uint32_t entropy = c_.offset[n % c_.offset.size()];
    const auto in_page = static_cast<std::ptrdiff_t>(entropy % (kPageBytes - 64) + 32);
    const auto before_end = -static_cast<std::ptrdiff_t>(entropy % 7 + 1);
    switch (where) {
    case Where::Anywhere: return space_.data() + in_page;
    case Where::Aligned: return Address{value(space_.data() + in_page) & ~std::uintptr_t{63}};
    case Where::AcrossPages: return space_.data() + kPageBytes + before_end;
    case Where::ReadOnly: return space_.read_only() + in_page;
    case Where::IntoReadOnly: return space_.read_only() + before_end;
    case Where::NoAccess: return space_.no_access() + in_page;
    case Where::IntoNoAccess: return space_.no_access() + before_end;
    case Where::Nowhere: return Address{entropy % kPageBytes};
    case Where::NotCanonical: return Address{0x1234'0000'0000'0000 + entropy % kPageBytes};
    case Where::KernelHalf: return Address{0xFFFF'9000'0000'0000 + entropy % kPageBytes};
    }
    return space_.data();
  }

  // Chooses what the operand is reached by so that it lies at `at`, as far as that can be chosen.
  void aim(const MemoryReach& m, Address at, std::vector<std::uint8_t>& bytes) {
    const std::uint64_t needed =
        value(at) - segment_base(m.segment) - static_cast<std::uint64_t>(m.displacement);
    const auto settable = [](std::optional<Register> r) { return r && *r != Register::Rsp; };
    if (m.base && m.index && *m.base == *m.index) {
      reg(*m.base) = needed / (1U + m.scale);
    } else if (settable(m.base)) {
      reg(*m.base) = needed - (m.index ? reg(*m.index) * m.scale : 0);
    } else if (m.base) { // rsp
      if (m.index)
        reg(*m.index) = c_.offset[0] % 32;
    } else if (m.index) {
      reg(*m.index) = needed / m.scale;
    } else if (p_.anatomy.displacement_bytes != 0 && !m.vector_index) {
      const std::uint64_t word =
          value(at) - (m.rip_relative ? value(site_) + bytes.size() : segment_base(m.segment));
      std::memcpy(bytes.data() + p_.anatomy.displacement_offset, &word, p_.anatomy.displacement_bytes);
    }
    if (p_.anatomy.bit_offset && m.base == p_.anatomy.bit_offset) // it cannot be both
      reg(*m.base) = needed;
  }

  // A relative branch goes behind its function, before it, or far away where nothing is.
  bool aim_branch(std::vector<std::uint8_t>& bytes) {
    const Instruction& i = p_.instruction;
    if (i.flow != Flow::RelativeJump && i.flow != Flow::RelativeCall)
      return true;
    const std::size_t width = relative_width(i);
    if (width == 0)
      return false;
    const std::uint32_t n = c_.branch / 4;
    std::int64_t distance =
        n % 8 == 0 ? 0 : 60 + static_cast<std::int64_t>(n % 60); // the next, or behind all
    if (c_.branch % 4 == 1)
      distance = -static_cast<std::int64_t>(20 + n % 100);
    if (c_.branch % 4 == 2 && width == 4)
      distance = static_cast<std::int64_t>(n % (8U << 20)) - (4 << 20);
    if (width == 2)
      return false; // a 16-bit target lies in the first 64 KiB
    std::memcpy(bytes.data() + bytes.size() - width, &distance, width);
    const Address to = i.next() + distance;
    return !(i.address <= to && to < i.next()); // H55 has a test of its own, and would not end here
  }

  // The displacement is the last thing in a branch.
  static std::size_t relative_width(const Instruction& i) {
    std::size_t at = 0;
    while (at < i.length && (i.bytes[at] == 0x66 || i.bytes[at] == 0x67 || i.bytes[at] == 0xF0 ||
                             i.bytes[at] == 0xF2 || i.bytes[at] == 0xF3 || i.bytes[at] == 0x26 ||
                             i.bytes[at] == 0x2E || i.bytes[at] == 0x36 || i.bytes[at] == 0x3E ||
                             i.bytes[at] == 0x64 || i.bytes[at] == 0x65 || (i.bytes[at] & 0xF0) == 0x40))
      ++at;
    const std::size_t opcode = i.bytes[at] == 0x0F ? 2 : 1;
    return i.length - at - opcode;
  }

  void aim_control_flow() {
    const bool somewhere = c_.branch % 8 != 0;
    const std::uint64_t to = value(landing(c_.branch / 8));
    const Anatomy& a = p_.anatomy;
    if (a.jumps_through && *a.jumps_through != Register::Rsp && somewhere)
      reg(*a.jumps_through) = to;
    if (a.returns && somewhere)
      p_.pokes.emplace_back(Address{reg(Register::Rsp)}, to);
    if (a.jumps_through_memory && somewhere && !a.memory.empty())
      p_.pokes.emplace_back(effective_address(a.memory.front()), to);
    if (a.writes_through)
      reg(*a.writes_through) = value(target(1));
  }

  Address effective_address(const MemoryReach& m) const {
    std::uint64_t at = static_cast<std::uint64_t>(m.displacement);
    if (m.rip_relative)
      at += value(p_.instruction.next());
    if (m.base)
      at += p_.start.at(*m.base);
    if (m.index)
      at += p_.start.at(*m.index) * m.scale;
    if (m.narrow)
      at &= 0xFFFF'FFFF;
    return Address{at + segment_base(m.segment)};
  }

  bool is_harmless(Address a) const {
    return space_.holds(a) || value(a) >> 47 != 0 || value(a) < 2 * kPageBytes;
  }

  // Every operand lies in the reservation, or where nothing can lie.
  bool stays_inside() const {
    for (const MemoryReach& m : p_.anatomy.memory)
      if (m.accessed && !is_harmless(effective_address(m)))
        return false;
    const auto& through = p_.anatomy.writes_through;
    return !through || is_harmless(Address{p_.start.at(*through)});
  }

  // hlt everywhere; behind the instruction a few that do nothing, so that what a short instruction's jump
  // would be punned from varies.
  void write_code(const std::vector<std::uint8_t>& bytes) {
    constexpr std::uint8_t kNops[][8] = {{0x90},
                                         {0x66, 0x90},
                                         {0x0F, 0x1F, 0x00},
                                         {0x0F, 0x1F, 0x40, 0x00},
                                         {0x0F, 0x1F, 0x44, 0x00, 0x00},
                                         {0x48, 0x89, 0xC0},  // mov %rax,%rax
                                         {0x48, 0x8D, 0x1B}}; // lea (%rbx),%rbx
    constexpr std::size_t kLengths[] = {1, 2, 3, 4, 5, 3, 3};
    p_.begin = site_ - static_cast<std::ptrdiff_t>(kBefore);
    p_.code.assign(kBefore + kBehind, kHalt);
    std::size_t at = kBefore;
    std::ranges::copy(bytes, p_.code.begin() + static_cast<std::ptrdiff_t>(at));
    at += bytes.size();
    std::uint32_t rest = c_.pad;
    for (std::uint32_t n = rest % 8; n > 0 && at + 8 < p_.code.size(); --n) {
      rest /= 7;
      const std::size_t nop = rest % std::size(kNops);
      std::copy_n(kNops[nop], kLengths[nop], p_.code.begin() + static_cast<std::ptrdiff_t>(at));
      at += kLengths[nop];
    }
  }

  const IsaCase& c_;
  const InstructionForm& form_;
  const CaseSpace& space_;
  const std::size_t place_;
  const bool any_flags_;
  Address site_{};
  PreparedCase p_;
};

void fill(Address at, std::size_t bytes, const std::vector<std::uint64_t>& words) {
  auto* const to = reinterpret_cast<std::uint64_t*>(bytes_at(at));
  for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); ++i)
    to[i] = words[i % words.size()] + (i / words.size() & 1);
}

} // namespace

std::expected<PreparedCase, Untried> prepare(const IsaCase& c, const InstructionForm& form,
                                             const CaseSpace& space, std::size_t place, bool any_flags) {
  return Preparation(c, form, space, place, any_flags).run();
}

void fill_memory(const PreparedCase& c, const CaseSpace& space) {
  fill(space.data(), CaseSpace::kDataBytes, c.memory);
  fill(space.stack(), CaseSpace::kStackUsed, c.memory);
  for (const auto& [at, word] : c.pokes) {
    const bool in_data = space.data() <= at && at + 8 <= space.read_only();
    const bool on_stack = space.stack() <= at && at + 8 <= space.stack_end();
    if (in_data || on_stack)
      std::memcpy(bytes_at(at), &word, sizeof word);
  }
}

} // namespace proberace
