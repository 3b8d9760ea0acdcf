// Where a body lies in the text that the act `rewrite` maps. Private to this folder.
#pragma once

#include "harness/base/address.h"
#include "stress/code/body.h"

#include <vector>

namespace proberace {

inline constexpr std::size_t kRewrittenBytes = 2 * kPageBytes;
inline constexpr std::uint8_t kHlt = 0xf4;

enum class Where { Within, AcrossPages, AtTheEnd }; // the site, or the end of the body

// The text's bytes with one body: a jump to the body at the start, then the body.
struct Layout {
  // Filled with hlt: a removal takes an int3 of the program's own, at the address of a probe, for the probe's.
  std::vector<std::uint8_t> code = std::vector(kRewrittenBytes, kHlt);
  std::size_t entry = 0, site = 0; // the body's, as offsets
};

// `later`: so many bytes, unless it lies at an edge.
Layout layout_of(const Body& body, Where where, std::size_t later = 0);

// Of its instructions, up to bytes that are none; the first is the site's offset.
std::vector<std::size_t> lengths_of(const Body& body);

} // namespace proberace
