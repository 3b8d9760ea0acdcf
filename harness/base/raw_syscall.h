// A system call without libc: no errno, no PLT, no cancellation point, so that it may run inside a hit (a
// probe on libc's own wrapper would otherwise recurse) and in a helper that shares its thread-local storage
// with a thread.
#pragma once

#include <type_traits>

namespace proberace {

namespace raw_detail {
template <typename T> inline long word(T v) noexcept {
  if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T>)
    return reinterpret_cast<long>(static_cast<const volatile void*>(v));
  else
    return static_cast<long>(v);
}
} // namespace raw_detail

// signal-safe. Returns the kernel's value: -errno on failure (System V ABI, x86-64 supplement, A.2.1).
template <typename A = long, typename B = long, typename C = long, typename D = long, typename E = long,
          typename F = long>
[[gnu::always_inline]] inline long raw_syscall(long number, A a = {}, B b = {}, C c = {}, D d = {}, E e = {},
                                               F f = {}) noexcept {
  long result;
  register long r10 asm("r10") = raw_detail::word(d);
  register long r8 asm("r8") = raw_detail::word(e);
  register long r9 asm("r9") = raw_detail::word(f);
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(raw_detail::word(a)), "S"(raw_detail::word(b)), "d"(raw_detail::word(c)),
                 "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

} // namespace proberace
