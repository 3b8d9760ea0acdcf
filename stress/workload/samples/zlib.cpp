// libz: a round trip, and both checksums against their definitions (RFC 1950, RFC 1952).
#include <array>
#include <cstdint>
#include <vector>
#include <zlib.h>

namespace {

std::vector<unsigned char> text_of(std::uint64_t seed) {
  std::vector<unsigned char> text(600);
  for (std::size_t i = 0; i < text.size(); ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U; // Knuth's
    const bool repeats = i > 64 && (seed >> 62) != 0;
    text[i] = repeats ? text[i - 64] : static_cast<unsigned char>(seed >> 40);
  }
  return text;
}

std::uint32_t adler_by_definition(const std::vector<unsigned char>& text) {
  std::uint32_t a = 1, b = 0;
  for (const unsigned char c : text) {
    a = (a + c) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

std::uint32_t crc_by_definition(const std::vector<unsigned char>& text) {
  std::uint32_t crc = ~0U;
  for (const unsigned char c : text) {
    crc ^= c;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320U : 0);
  }
  return ~crc;
}

} // namespace

extern "C" int proberace_workload(std::uint64_t seed) {
  const std::vector<unsigned char> text = text_of(seed);
  const auto bytes = static_cast<uInt>(text.size());
  if (adler32(1, text.data(), bytes) != adler_by_definition(text))
    return 1;
  if (crc32(0, text.data(), bytes) != crc_by_definition(text))
    return 2;
  std::vector<unsigned char> packed(compressBound(text.size()));
  uLongf packed_bytes = packed.size();
  const int level = static_cast<int>(seed % 9) + 1;
  if (compress2(packed.data(), &packed_bytes, text.data(), text.size(), level) != Z_OK)
    return 3;
  std::vector<unsigned char> back(text.size());
  uLongf back_bytes = back.size();
  if (uncompress(back.data(), &back_bytes, packed.data(), packed_bytes) != Z_OK)
    return 4;
  return back == text && packed_bytes < text.size() ? 0 : 5;
}

extern "C" const void* const* proberace_workload_objects() {
  static const void* const kObjects[] = {reinterpret_cast<const void*>(&adler32), nullptr};
  return kObjects;
}
