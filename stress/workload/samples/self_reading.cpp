// For tests of the hunt: code that reads itself. A byte written over its first instruction is seen, wherever
// the probe's hits go.
#include <cstdint>

extern "C" [[gnu::noinline]] std::uint64_t read_by_itself(std::uint64_t n) {
  return n * 3 + 1;
}

extern "C" [[gnu::noinline]] std::uint64_t read_by_nobody(std::uint64_t n) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < n; ++i)
    sum += i ^ sum << 1;
  return sum;
}

extern "C" int proberace_workload(std::uint64_t seed) {
  const auto* const code = reinterpret_cast<const volatile std::uint8_t*>(&read_by_itself);
  static const std::uint8_t kFirst = *code; // read before anything is armed
  if (read_by_itself(seed) != seed * 3 + 1 || read_by_nobody(seed % 7) != read_by_nobody(seed % 7))
    return 1;
  return *code == kFirst ? 0 : 2;
}
