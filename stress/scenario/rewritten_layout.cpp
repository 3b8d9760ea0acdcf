#include "stress/scenario/rewritten_layout.h"

#include "harness/code/decode.h"

#include <algorithm>
#include <cstring>

namespace proberace {

Layout layout_of(const Body& body, Where where, std::size_t later) {
  constexpr std::uint8_t kJmpRel32 = 0xe9;
  constexpr std::size_t kJmpBytes = 5;
  constexpr std::size_t kSite = 256; // the same for each body
  Layout layout;
  switch (where) {
  case Where::Within: layout.entry = kSite + later - body.site_offset(); break;
  case Where::AcrossPages: layout.entry = kPageBytes - 1 - body.site_offset(); break;
  case Where::AtTheEnd: layout.entry = kRewrittenBytes - body.bytes(); break;
  }
  const std::size_t entry = layout.entry;
  layout.site = entry + body.site_offset();
  std::copy(body.code, body.end, layout.code.begin() + static_cast<std::ptrdiff_t>(entry));
  const auto distance = static_cast<std::uint32_t>(entry - kJmpBytes);
  layout.code[0] = kJmpRel32;
  std::memcpy(&layout.code[1], &distance, sizeof distance);
  return layout;
}

std::vector<std::size_t> lengths_of(const Body& body) {
  std::vector<std::size_t> lengths{body.site_offset()};
  for (const std::uint8_t* at = body.code; at < body.end;) {
    const auto instruction = decode(address_of(at), {at, body.end});
    if (!instruction)
      break;
    lengths.push_back(instruction->length);
    at += instruction->length;
  }
  return lengths;
}

} // namespace proberace
