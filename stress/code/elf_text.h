// The segments of an ELF file, mapped as a loader lays them out, unrelocated and never executed: text in
// which to try which instructions can be probed.
#pragma once

#include "harness/base/error.h"

#include <string>

namespace proberace {

class ElfText {
public:
  // BadInput if the file is no x86-64 ELF file, or has no executable segment.
  static std::expected<ElfText, Error> map(const std::string& path);

  ElfText(ElfText&& other) noexcept;
  ElfText& operator=(ElfText&&) = delete;
  ~ElfText();

  // An address in its first executable segment.
  Address text() const noexcept { return text_; }

private:
  ElfText() = default;

  Address start_{};
  std::size_t bytes_ = 0;
  Address text_{};
};

} // namespace proberace
