#include "harness/log/hit_record.h"

#include <array>

namespace proberace {

std::string_view name(RecordKind kind) noexcept {
  constexpr std::array<std::string_view, kRecordKinds> kNames{"blank", "begin",    "hit",
                                                              "end",   "operated", "lost"};
  const auto i = static_cast<std::size_t>(kind);
  return i < kNames.size() ? kNames[i] : "unknown";
}

} // namespace proberace
