// The moved code is executed, on real memory, and must do what the original does.
#include "harness/relocate/exit.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

namespace proberace {

namespace {

using Bytes = std::vector<std::uint8_t>;

// Two pages of code, near each other or more than 2 GiB apart.
struct Places {
  std::uint8_t* here = map(nullptr);
  std::uint8_t* near_by = map(here + (std::ptrdiff_t{1} << 24));
  std::uint8_t* far_away = map(here - (std::ptrdiff_t{1} << 36));

  static std::uint8_t* map(void* at) {
    return static_cast<std::uint8_t*>(
        ::mmap(at, kPageBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  ~Places() {
    for (std::uint8_t* page : {here, near_by, far_away})
      ::munmap(page, kPageBytes);
  }
};

// Writes `code` at `here`, with the instruction at `offset` replaced by int3 and executed at `there` instead:
// a `jmp` at here's end leads there first. The function is called with rdi, and
// r8 pointing to `here`.
std::uint64_t run_moved(const Bytes& code, std::size_t offset, std::uint8_t* here, std::uint8_t* there,
                        std::uint64_t input) {
  const auto instruction = decode(address_of(here + offset), std::span(code).subspan(offset));
  EXPECT_TRUE(instruction);
  const auto moved = relocate_with_exit(*instruction, address_of(there));
  EXPECT_TRUE(moved) << describe(moved.error());
  if (!moved)
    return ~std::uint64_t{0};
  EXPECT_LE(moved->length, kMaxSlotBytes);
  std::copy(code.begin(), code.end(), here);
  std::fill_n(here + offset, instruction->length, kInt3); // the original cannot run unseen
  std::copy_n(moved->bytes.begin(), moved->length, there);
  std::uint64_t result = 0;
  // The prologue runs first, then the moved instruction.
  Bytes prologue(code.begin(), code.begin() + static_cast<std::ptrdiff_t>(offset));
  prologue.insert(prologue.end(), {0xFF, 0x25, 0, 0, 0, 0});
  const auto target = reinterpret_cast<std::uint64_t>(there);
  const auto* word = reinterpret_cast<const std::uint8_t*>(&target);
  prologue.insert(prologue.end(), word, word + sizeof target);
  std::uint8_t* const begin = here + kPageBytes / 2;
  std::copy(prologue.begin(), prologue.end(), begin);
  asm volatile("mov %[here], %%r8\n\tlea -256(%%rsp), %%rsp\n\tcall *%[begin]\n\tlea 256(%%rsp), %%rsp"
               : "=a"(result)
               : [begin] "r"(begin), [here] "r"(here), "D"(input)
               : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
  return result;
}

struct Moved {
  const char* what;
  Bytes code;
  std::size_t offset; // of the instruction to move
  std::uint64_t input;
  std::uint64_t result;
};

// Each returns 42 if its instruction went where it should.
const Moved kCases[] = {
    {"mov", {0x48, 0x89, 0xf8, 0xc3}, 0, 42, 42},
    {"jmp rel8", {0xeb, 0x01, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 0, 42, 42},
    {"jmp rel32", {0xe9, 1, 0, 0, 0, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 0, 42, 42},
    {"je taken", {0x48, 0x39, 0xff, 0x74, 0x01, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 3, 42, 42},
    {"jne not taken", {0x48, 0x39, 0xff, 0x75, 0x04, 0x48, 0x89, 0xf8, 0xc3, 0xcc}, 3, 42, 42},
    {"je rel32 taken", {0x48, 0x39, 0xff, 0x0f, 0x84, 1, 0, 0, 0, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 3, 42, 42},
    {"loop taken", {0xb9, 2, 0, 0, 0, 0xe2, 0x01, 0xcc, 0x48, 0x8d, 0x04, 0x0f, 0xc3}, 5, 41, 42},
    {"loop not taken", {0xb9, 1, 0, 0, 0, 0xe2, 0x05, 0x48, 0x8d, 0x04, 0x0f, 0xc3, 0xcc}, 5, 42, 42},
    {"jrcxz taken", {0x31, 0xc9, 0xe3, 0x01, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 2, 42, 42},
    {"jrcxz not taken", {0xb9, 1, 0, 0, 0, 0xe3, 0x04, 0x48, 0x89, 0xf8, 0xc3, 0xcc}, 5, 42, 42},
    {"jecxz taken", {0x31, 0xc9, 0x67, 0xe3, 0x01, 0xcc, 0x48, 0x89, 0xf8, 0xc3}, 2, 42, 42},
    // The callee returns its own return address less rdi: lea of the instruction behind the call.
    {"call rel32",
     {0xe8, 4,    0,    0,    0,    0x48, 0x29, 0xd0, 0xc3, 0x48, 0x8b, 0x04, 0x24,
      0x48, 0x8d, 0x15, 0xf1, 0xff, 0xff, 0xff, 0x48, 0x83, 0xea, 0x2a, 0xc3},
     0,
     0,
     42},
    // r8 is the code's own address.
    {"call *%rax",
     {0x49, 0x8d, 0x40, 0x0a, 0xff, 0xd0, 0x48, 0x29, 0xd0, 0xc3, 0x48, 0x8b, 0x04,
      0x24, 0x48, 0x8d, 0x15, 0xf1, 0xff, 0xff, 0xff, 0x48, 0x83, 0xea, 0x2a, 0xc3},
     4,
     0,
     42},
    // lea f,%rax; push %rax; call *(%rsp); pop %rcx; ret; f: lea 42(%rdi),%rax; ret
    {"call *(%rsp)",
     {0x49, 0x8d, 0x40, 0x0a, 0x50, 0xff, 0x14, 0x24, 0x59, 0xc3, 0x48, 0x8d, 0x47, 42, 0xc3},
     5,
     0,
     42},
    // the same through 8(%rsp), with a second word pushed
    {"call *8(%rsp)",
     {0x49, 0x8d, 0x40, 0x0d, 0x50, 0x50, 0xff, 0x54, 0x24, 0x08, 0x59, 0x59, 0xc3, 0x48, 0x8d, 0x47, 42,
      0xc3},
     6,
     0,
     42},
    {"ret", {0x48, 0x89, 0xf8, 0xc3}, 3, 42, 42},
};

} // namespace

TEST(RelocateWithExit, H42_EveryControlFlowGoesWhereItWentNearAndFar) {
  Places places;
  for (const Moved& c : kCases)
    for (std::uint8_t* there : {places.near_by, places.far_away})
      EXPECT_EQ(run_moved(c.code, c.offset, places.here, there, c.input), c.result)
          << c.what << (there == places.far_away ? ", far" : ", near");
}

TEST(RelocateWithExit, H41_TheReturnAddressIsTheOriginalOne) {
  // call f; nop; f: pop %rax; ret to the caller with the popped address
  const Bytes code{0xe8, 1, 0, 0, 0, 0x90, 0x58, 0xc3};
  Places places;
  for (std::uint8_t* there : {places.near_by, places.far_away})
    EXPECT_EQ(run_moved(code, 0, places.here, there, 0), reinterpret_cast<std::uint64_t>(places.here + 5));
}

// lea disp32(%rip),%rax within reach.
RC_GTEST_PROP(RelocateWithExit, H40_RipRelativeOperandsNameTheSameAddress, (std::int16_t displacement)) {
  Places places;
  Bytes code{0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xc3};
  const std::int32_t wide = displacement;
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&wide), 4, code.data() + 3);
  RC_ASSERT(run_moved(code, 0, places.here, places.near_by, 0) ==
            reinterpret_cast<std::uint64_t>(places.here + 7 + displacement));
}

TEST(RelocateWithExit, RefusesByNameWhatCannotBeMoved) {
  const Moved cases[] = {
      {"call", {0xff, 0xd4}, 0, 0, 0},             // call *%rsp
      {"call", {0xff, 0x54, 0x24, 0x7f}, 0, 0, 0}, // call *127(%rsp)
      {"call", {0xff, 0x54, 0x24, 0xf8}, 0, 0, 0}, // call *-8(%rsp): the push would overwrite it
      {"call", {0xff, 0x14, 0xc4}, 0, 0, 0},       // call *(%rsp,%rax,8)
      {"call", {0xff, 0x94, 0x24, 0xf1, 0xff, 0xff, 0xff}, 0, 0, 0}, // call *-15(%rsp), with four bytes
      {"syscall", {0x0f, 0x05}, 0, 0, 0},                            //
      {"pushfq", {0x9c}, 0, 0, 0},                                   //
      {"int3", {0xcc}, 0, 0, 0},                                     //
      {"mov", {0x67, 0x8b, 0x05, 0, 0, 0, 0}, 0, 0, 0},              // mov 0(%eip),%eax
  };
  for (const Moved& c : cases) {
    const auto moved = relocate_with_exit(*decode(Address{0x7f0000400000}, c.code), Address{0x7f0000500000});
    ASSERT_FALSE(moved) << c.what;
    EXPECT_EQ(moved.error().kind, ErrorKind::InstructionUnsupported);
    EXPECT_NE(moved.error().message.find(c.what), std::string::npos) << moved.error().message;
  }
}

// Flags pass through every form of branch: stc before, adc behind.
TEST(RelocateWithExit, LeavesFlagsAlone) {
  // stc; call f; adc $41,%rax; ret; f: mov %rdi,%rax; ret
  const Bytes code{0xf9, 0xe8, 5, 0, 0, 0, 0x48, 0x83, 0xd0, 41, 0xc3, 0x48, 0x89, 0xf8, 0xc3};
  Places places;
  for (std::uint8_t* there : {places.near_by, places.far_away})
    EXPECT_EQ(run_moved(code, 1, places.here, there, 0), 42U);
}

} // namespace proberace
