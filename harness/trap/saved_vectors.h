// xmm registers where XSAVE put them: in a signal frame, or in an area of our own.
//
// Both begin with the legacy region (SDM vol. 1, 10.5.1, table 10-2). XSAVE writes all of it, even if the
// state is in its initial configuration (13.7). XRSTOR takes a change back from it only if the header behind
// it says that the component is in use (13.8).
#pragma once

#include "harness/probe/trap_context.h"

#include <cstddef>

namespace proberace {

inline constexpr std::size_t kSavedVectors = 160;
inline constexpr std::size_t kXsaveHeader = 512; // XSTATE_BV first
inline constexpr std::uint64_t kVectorsInUse = 2;
// The kernel's own words in a frame's legacy region say whether a header follows: a kernel without XSAVE
// writes no header (struct _fpx_sw_bytes, arch/x86/include/uapi/asm/sigcontext.h).
inline constexpr std::size_t kFrameMagicAt = 464;
inline constexpr std::uint32_t kFrameMagic = 0x46505853; // FP_XSTATE_MAGIC1

// All signal-safe.
inline Vector saved_vector(const void* area, std::uint8_t number) noexcept {
  Vector v;
  std::memcpy(v.data(), static_cast<const std::uint8_t*>(area) + kSavedVectors + number * sizeof v, sizeof v);
  return v;
}

// Precondition: the area has a header, as XSAVE's has.
inline void save_vector(void* area, std::uint8_t number, const Vector& v) noexcept {
  std::uint8_t* const bytes = static_cast<std::uint8_t*>(area);
  std::memcpy(bytes + kSavedVectors + number * sizeof v, v.data(), sizeof v);
  std::uint64_t in_use = 0;
  std::memcpy(&in_use, bytes + kXsaveHeader, sizeof in_use);
  in_use |= kVectorsInUse;
  std::memcpy(bytes + kXsaveHeader, &in_use, sizeof in_use);
}

inline void save_vector_in_frame(void* area, std::uint8_t number, const Vector& v) noexcept {
  std::uint8_t* const bytes = static_cast<std::uint8_t*>(area);
  std::uint32_t magic = 0;
  std::memcpy(&magic, bytes + kFrameMagicAt, sizeof magic);
  if (magic == kFrameMagic)
    save_vector(area, number, v);
  else
    std::memcpy(bytes + kSavedVectors + number * sizeof v, v.data(), sizeof v);
}

} // namespace proberace
