// Appends lines to a file through io_uring, so that nothing waits for the disk between two measurements.
//
// Idea: two buffers; one is filled while the other is being written. Trade-off: a line is on its way, not on
// disk, until close, which waits and syncs.
#pragma once

#include "harness/base/error.h"

#include <memory>
#include <string_view>

namespace proberace {

// For one thread. What fails is reported at close, nothing is dropped silently.
class LineWriter {
public:
  // Creates the file; it must not exist.
  static std::expected<LineWriter, Error> create(const std::string& path);
  LineWriter(LineWriter&&) noexcept;
  LineWriter& operator=(LineWriter&&) = delete;
  ~LineWriter(); // closes

  void append(std::string_view line); // adds the newline
  // Waits until all is on disk. The first error since create, if any.
  Status close();

private:
  struct State;
  explicit LineWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

} // namespace proberace
