// Small functions written in assembly, each with one instruction to probe (its site) and a result that shows
// whether that instruction did what it does. They are position-independent and are copied into a Text.
//
// Calling convention: rdi is the input; the result is input + 1; r11 is the execution's ticket and r10 its
// mailbox, which no body touches (mailbox.h); nor rsi, which `load` reads a zero through, unless it is to
// fault, nor r8, r9 and the vector registers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace proberace {

enum class BodyTrait : std::uint64_t {
  Plain = 0,
  RipRelative = 1,
  ControlFlow = 2,
  RedZone = 4,
  Flags = 8,
  Locked = 16,
  StackPointer = 32,  // the probed instruction uses it
  Awkward = 64,       // those that take only some instructions may refuse it
  Roomy = 128,        // the probed instruction has room for a jump: five bytes or more
  StackAddress = 256, // it addresses memory by the stack pointer
  Repeats = 512,      // it has a rep prefix
};

struct Body {
  const std::uint8_t* code;
  const std::uint8_t* site;
  const std::uint8_t* end;
  const char* label;
  std::uint64_t traits;
  std::uint64_t passes; // how often one call executes the site

  std::string_view name() const noexcept { return label; }
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(end - code); }
  std::size_t site_offset() const noexcept { return static_cast<std::size_t>(site - code); }
  bool has(BodyTrait t) const noexcept { return (traits & static_cast<std::uint64_t>(t)) != 0; }
};

// All of them; the first is `nop`.
std::span<const Body> all_bodies() noexcept;
// Null if there is none.
const Body* body_named(std::string_view name) noexcept;

constexpr std::uint64_t expected_result(std::uint64_t input) noexcept {
  return input + 1;
}

} // namespace proberace
