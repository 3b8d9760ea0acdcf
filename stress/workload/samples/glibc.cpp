// glibc's string functions, as this processor gets them, against loops over bytes.
#include <cstdint>
#include <cstring>

namespace {

constexpr std::size_t kBytes = 160;

// Not through the compiler's idea of them: the library's function is called.
std::size_t (*volatile length)(const char*) = &std::strlen;
int (*volatile compare_memory)(const void*, const void*, std::size_t) = &std::memcmp;
int (*volatile compare)(const char*, const char*) = &std::strcmp;
void* (*volatile copy)(void*, const void*, std::size_t) = &std::memcpy;
void* (*volatile move)(void*, const void*, std::size_t) = &std::memmove;
void* (*volatile set)(void*, int, std::size_t) = &std::memset;
const void* (*volatile find_byte)(const void*, int, std::size_t) = &std::memchr;
const char* (*volatile find_first)(const char*, int) = &std::strchr;
const char* (*volatile find_last)(const char*, int) = &std::strrchr;
char* (*volatile copy_string)(char*, const char*) = &std::strcpy;

int sign(int n) {
  return (n > 0) - (n < 0);
}

struct Buffers {
  char a[kBytes + 1], b[kBytes + 1];
};

bool equal(const char* x, const char* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (x[i] != y[i])
      return false;
  return true;
}

int difference(const char* x, const char* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (x[i] != y[i])
      return static_cast<unsigned char>(x[i]) - static_cast<unsigned char>(y[i]);
  return 0;
}

std::size_t first(const char* x, char c, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (x[i] == c)
      return i;
  return n;
}

void byte_move(char* to, const char* from, std::size_t n) {
  if (to < from)
    for (std::size_t i = 0; i < n; ++i)
      to[i] = from[i];
  else
    for (std::size_t i = n; i-- > 0;)
      to[i] = from[i];
}

// 0, or the number of what differs.
int check(Buffers& work, Buffers& model, std::size_t at, std::size_t n, char c) {
  const std::size_t end = first(model.a, '\0', kBytes + 1);
  if (length(work.a) != end)
    return 1;
  const auto* const found = static_cast<const char*>(find_byte(work.a + at, c, n));
  const std::size_t where = first(model.a + at, c, n);
  if (found != (where == n ? nullptr : work.a + at + where))
    return 2;
  if (sign(compare_memory(work.a + at, work.b, n)) != sign(difference(model.a + at, model.b, n)))
    return 3;
  const std::size_t both = end < first(model.b, '\0', kBytes + 1) ? end : first(model.b, '\0', kBytes + 1);
  if (sign(compare(work.a, work.b)) != sign(difference(model.a, model.b, both + 1)))
    return 4;
  const std::size_t one = first(model.a, c, end + 1);
  if (find_first(work.a, c) != (one == end + 1 ? nullptr : work.a + one))
    return 5;
  std::size_t last = end + 1;
  for (std::size_t i = 0; i <= end; ++i)
    last = model.a[i] == c ? i : last;
  if (find_last(work.a, c) != (last == end + 1 ? nullptr : work.a + last))
    return 6;
  copy(work.b + at, work.a, n);
  byte_move(model.b + at, model.a, n);
  set(work.b, c, at);
  for (std::size_t i = 0; i < at; ++i)
    model.b[i] = c;
  move(work.a + at, work.a, n);
  byte_move(model.a + at, model.a, n);
  if (!equal(work.a, model.a, kBytes) || !equal(work.b, model.b, kBytes))
    return 7;
  copy_string(work.b, work.a);
  byte_move(model.b, model.a, first(model.a, '\0', kBytes + 1) + 1);
  return equal(work.b, model.b, kBytes) ? 0 : 8;
}

} // namespace

extern "C" int proberace_workload(std::uint64_t seed) {
  Buffers work, model;
  for (int round = 0; round < 24; ++round) {
    for (std::size_t i = 0; i < kBytes; ++i) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      work.a[i] = model.a[i] = static_cast<char>('a' + (seed >> 61));
      work.b[i] = model.b[i] = static_cast<char>('a' + (seed >> 58 & 7));
    }
    const std::size_t ends = seed >> 30 & 127;
    work.a[kBytes] = model.a[kBytes] = work.b[kBytes] = model.b[kBytes] = '\0';
    work.a[ends] = model.a[ends] = '\0';
    const std::size_t at = seed >> 20 & 63;
    const std::size_t n = (seed >> 8) % (kBytes - at);
    if (const int wrong = check(work, model, at, n, static_cast<char>('a' + (seed >> 40 & 7))); wrong != 0)
      return wrong;
  }
  return 0;
}

extern "C" const void* const* proberace_workload_functions() {
  static const void* const kFunctions[] = {reinterpret_cast<const void*>(length),
                                           reinterpret_cast<const void*>(compare_memory),
                                           reinterpret_cast<const void*>(compare),
                                           reinterpret_cast<const void*>(copy),
                                           reinterpret_cast<const void*>(move),
                                           reinterpret_cast<const void*>(set),
                                           reinterpret_cast<const void*>(find_byte),
                                           reinterpret_cast<const void*>(find_first),
                                           reinterpret_cast<const void*>(find_last),
                                           reinterpret_cast<const void*>(copy_string),
                                           nullptr};
  return kFunctions;
}
