// An address in the probed process. Its own type, so that it is never mixed up with a size or an offset.
#pragma once

#include <cstddef>
#include <cstdint>

namespace proberace {

enum class Address : std::uintptr_t {};

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::uint8_t kInt3 = 0xCC;

constexpr std::uintptr_t value(Address a) noexcept {
  return static_cast<std::uintptr_t>(a);
}

constexpr Address operator+(Address a, std::ptrdiff_t bytes) noexcept {
  return Address{value(a) + static_cast<std::uintptr_t>(bytes)};
}

constexpr Address operator-(Address a, std::ptrdiff_t bytes) noexcept {
  return Address{value(a) - static_cast<std::uintptr_t>(bytes)};
}

// The distance in bytes from b to a; wraps as the hardware's displacement arithmetic does.
constexpr std::ptrdiff_t operator-(Address a, Address b) noexcept {
  return static_cast<std::ptrdiff_t>(value(a) - value(b));
}

constexpr Address page_of(Address a) noexcept {
  return Address{value(a) & ~(kPageBytes - 1)};
}

constexpr std::size_t offset_in_page(Address a) noexcept {
  return value(a) & (kPageBytes - 1);
}

inline Address address_of(const void* p) noexcept {
  return Address{reinterpret_cast<std::uintptr_t>(p)};
}

// Precondition: a is mapped in this process.
inline std::uint8_t* bytes_at(Address a) noexcept {
  return reinterpret_cast<std::uint8_t*>(value(a));
}

} // namespace proberace
