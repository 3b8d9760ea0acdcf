// The memory cases run in: one reservation in which nothing else lies, so that whatever an instruction
// reaches by mistake is a fault and no memory of the harness.
//
//   nothing | text | nothing | data: two writable pages, one read-only, one without access | nothing | stack
//   | nothing
#pragma once

#include "stress/code/text.h"

namespace proberace {

enum class Layout {
  Low,
  High
}; // below 2 GiB, where 32-bit addresses reach; or where the kernel puts libraries

class CaseSpace {
public:
  static constexpr std::size_t kPitch = 1024; // of the places for cases
  static constexpr std::size_t kPlaces = 256;
  static constexpr std::size_t kTextBytes = kPitch * kPlaces;
  static constexpr std::size_t kDataBytes = 2 * kPageBytes;
  static constexpr std::size_t kStackBytes = 16 * kPageBytes;
  static constexpr std::size_t kStackUsed = 2 * kPageBytes; // of its top: what cases start in

  static std::expected<CaseSpace, Error> reserve(Layout layout);
  CaseSpace(CaseSpace&& other) noexcept;
  CaseSpace& operator=(CaseSpace&&) = delete;
  ~CaseSpace();

  Layout layout() const noexcept { return layout_; }
  Address text() const noexcept { return start_ + kTextAt; }
  Address place(std::size_t i) const noexcept { return text() + static_cast<std::ptrdiff_t>(i * kPitch); }
  Address data() const noexcept { return start_ + kDataAt; }
  Address read_only() const noexcept { return data() + static_cast<std::ptrdiff_t>(kDataBytes); }
  Address no_access() const noexcept { return read_only() + kPageBytes; }
  Address stack_end() const noexcept { return start_ + kStackAt + static_cast<std::ptrdiff_t>(kStackBytes); }
  // The stack pointer that cases start with: below it is room for signal frames.
  Address stack() const noexcept { return stack_end() - static_cast<std::ptrdiff_t>(kStackUsed); }
  bool holds(Address a) const noexcept { return start_ <= a && a < start_ + kBytes; }
  // True if `a` is a stack pointer with room for signal frames below it.
  bool is_stack(Address a) const noexcept { return stack() <= a && a <= stack_end(); }

private:
  CaseSpace(Address start, Layout layout) : start_(start), layout_(layout) {}

  static constexpr std::ptrdiff_t kBytes = std::ptrdiff_t{64} << 20;
  static constexpr std::ptrdiff_t kTextAt = std::ptrdiff_t{24} << 20;
  static constexpr std::ptrdiff_t kDataAt = std::ptrdiff_t{40} << 20;
  static constexpr std::ptrdiff_t kStackAt = std::ptrdiff_t{48} << 20;

  Address start_;
  Layout layout_;
};

} // namespace proberace
