// Executable text made at run time that looks to the kernel like a library's: a private, readable and
// executable mapping of a file (an unlinked one in memory), so that every armer and the kernel's uprobes work
// on it alike. Or like a JIT's: the same file mapped shared, for strategies that only know such memory.
#pragma once

#include "harness/code/target.h"
#include "stress/code/body.h"

#include <vector>

namespace proberace {

struct Placement {
  const Body* body;
  std::size_t page; // of the text, from 0
};

struct PlacedBody {
  const Body* body;
  Address entry;
  Address site;
};

enum class TextMemory { PrivateFile, SharedMemory };

class Text {
public:
  // Copies each body to its page, one behind the other, 64 bytes apart at least. BadInput if a page
  // overflows.
  static std::expected<Text, Error> make(std::span<const Placement> placements,
                                         TextMemory memory = TextMemory::PrivateFile);
  // The given bytes from the start of the text; one function each `[begin, begin + size)` is for the caller
  // to declare. At `at`, over whatever is mapped there, if one is given.
  static std::expected<Text, Error> of_bytes(std::span<const std::uint8_t> code,
                                             TextMemory memory = TextMemory::PrivateFile, Address at = {});

  Text(Text&& other) noexcept;
  Text& operator=(Text&&) = delete;
  ~Text();

  const std::vector<PlacedBody>& bodies() const noexcept { return bodies_; }
  Address start() const noexcept { return start_; }
  std::size_t bytes() const noexcept { return bytes_; }

  // What is mapped there is somebody else's now.
  void forget() noexcept { bytes_ = 0; }
  // Maps the same bytes of the file there again, over whatever is mapped, as an object that is loaded again has it.
  Status map_again() const;

  // Makes every body known to the target as a function.
  void declare(Target& target) const;

private:
  Text() = default;

  Address start_{};
  std::size_t bytes_ = 0;
  std::vector<PlacedBody> bodies_;
  int file_ = -1;
  std::int64_t place_ = 0; // in the file
  int sharing_ = 0;        // mmap's flag
};

} // namespace proberace
