// A file that is there whole or not at all: written beside its place, and renamed. A symbolic link is followed;
// only a regular file is replaced. A device, a FIFO and "-", which is standard output, are written through.
#pragma once

#include "harness/base/error.h"

#include <cstdio>
#include <memory>

namespace proberace {

class WholeFile {
public:
  // BadInput if nothing can be written there; asked before the work whose result it is for. Waits until a FIFO
  // has a reader.
  static std::expected<WholeFile, Error> create(const std::string& path);

  WholeFile(WholeFile&&) noexcept = default;
  ~WholeFile(); // leaves nothing, if write was not called

  // Puts the text in place. System, and nothing is there, if not all of it could be written.
  Status write(std::string_view text);
  // The same where nothing stands yet. False, and nothing is done, if something does.
  std::expected<bool, Error> write_new(std::string_view text);

private:
  WholeFile() = default;
  bool goes_through() const noexcept { return part_path_.empty(); }
  Status fill(std::string_view text);
  std::unexpected<Error> given_up(int error) const; // leaves nothing

  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::string path_;
  std::string part_path_; // empty if it is written through
  std::unique_ptr<std::FILE, Close> part_;
};

} // namespace proberace
