// A file's bytes, mapped and not copied.
#pragma once

#include "harness/base/error.h"

#include <cstdint>
#include <span>
#include <string>

namespace proberace {

class MappedFile {
public:
  // BadInput if it cannot be read or is no regular file. An empty file has no bytes.
  static std::expected<MappedFile, Error> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  // Precondition of reading them: nobody makes the file shorter meanwhile.
  std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }

private:
  explicit MappedFile(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::span<const std::uint8_t> bytes_;
};

} // namespace proberace
