// H53 where random values do not come: quotients at and beyond the ends of their range, for every size.
#include "harness/emulate/array_context.h"
#include "harness/emulate/micro_plan.h"
#include "harness/emulate/test_abilities.h"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

namespace proberace {

namespace {

__extension__ using Wide = __int128;

struct Division {
  bool is_signed;
  int bytes;
  Wide dividend;
  std::int64_t divisor;
};

// div or idiv %rcx, %ecx, %cx, %cl
std::vector<std::uint8_t> code_of(const Division& d) {
  std::vector<std::uint8_t> code;
  if (d.bytes == 2)
    code.push_back(0x66);
  if (d.bytes == 8)
    code.push_back(0x48);
  code.push_back(d.bytes == 1 ? 0xF6 : 0xF7);
  code.push_back(d.is_signed ? 0xF9 : 0xF1);
  return code;
}

RegisterFile registers_of(const Division& d, Address code) {
  RegisterFile file{};
  const auto set = [&file](Register r, std::uint64_t word) { file[static_cast<std::size_t>(r)] = word; };
  const auto mask = d.bytes == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * d.bytes)) - 1;
  set(Register::Rcx, static_cast<std::uint64_t>(d.divisor));
  if (d.bytes == 1) {
    set(Register::Rax, static_cast<std::uint64_t>(d.dividend) & 0xFFFF);
  } else {
    set(Register::Rax, static_cast<std::uint64_t>(d.dividend) & mask);
    set(Register::Rdx, static_cast<std::uint64_t>(d.dividend >> (8 * d.bytes)) & mask);
  }
  set(Register::Rip, value(code));
  set(Register::Rflags, 0x202);
  return file;
}

// Around every end of the quotient's range, with every remainder that could tip it over.
std::vector<Division> divisions() {
  std::vector<Division> all;
  for (const int bytes : {1, 2, 4, 8})
    for (const bool is_signed : {false, true}) {
      const int bits = 8 * bytes;
      const Wide least = is_signed ? -(Wide{1} << (bits - 1)) : Wide{0};
      const Wide most = (Wide{1} << (is_signed ? bits - 1 : bits)) - 1;
      const auto edge = static_cast<std::int64_t>(is_signed ? least : most >> 1);
      for (const std::int64_t divisor : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{2},
                                         std::int64_t{-2}, std::int64_t{3}, std::int64_t{-7}, edge}) {
        if (divisor < 0 && !is_signed)
          continue;
        const Wide magnitude = divisor < 0 ? -Wide{divisor} : Wide{divisor};
        for (const Wide quotient : {least - 1, least, least + 1, Wide{0}, most - 1, most, most + 1})
          for (const Wide remainder : {Wide{0}, magnitude - 1, 1 - magnitude})
            all.push_back({is_signed, bytes, quotient * divisor + remainder, divisor});
      }
    }
  return all;
}

} // namespace

TEST(EmulationDivides, H53_AgreesWithTheProcessorAtTheEndsOfTheRange) {
  void* const page =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  NativeStepper processor;
  int errors = 0, quotients = 0;
  for (const Division& d : divisions()) {
    const auto code = code_of(d);
    std::copy(code.begin(), code.end(), static_cast<std::uint8_t*>(page));
    const RegisterFile before = registers_of(d, address_of(page));
    const NativeStep native = processor.step(before);
    const auto plan = plan_emulation(*decode(address_of(page), code), kInProcess);
    ASSERT_TRUE(plan);
    ArrayContext emulated(before);
    (*plan)->run(emulated, **plan);
    ++(native.fault ? errors : quotients);
    const auto what = fmt::format("{} {}: rdx:rax {:x}:{:x}, rcx {:x}", d.is_signed ? "idiv" : "div", d.bytes,
                                  before[2], before[0], before[1]);
    EXPECT_EQ(native.after, emulated.registers) << what;
    ASSERT_EQ(native.fault.has_value(), emulated.fault.has_value()) << what;
    if (native.fault) {
      EXPECT_EQ(native.fault->signal, emulated.fault->signal) << what;
      EXPECT_EQ(native.fault->code, emulated.fault->code) << what;
      EXPECT_EQ(native.fault->address, emulated.fault->address) << what;
    }
  }
  EXPECT_GT(errors, 100);
  EXPECT_GT(quotients, 100);
  ::munmap(page, kPageBytes);
}

} // namespace proberace
