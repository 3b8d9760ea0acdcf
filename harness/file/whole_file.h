// A file that is there whole or not at all: written beside its place, and renamed.
#pragma once

#include "harness/base/error.h"

#include <cstdio>
#include <memory>

namespace proberace {

class WholeFile {
public:
  // BadInput if nothing can be written there; asked before the work whose result it is for.
  static std::expected<WholeFile, Error> create(const std::string& path);

  WholeFile(WholeFile&&) noexcept = default;
  ~WholeFile(); // leaves nothing, if write was not called

  // Puts the text in place. System, and nothing is there, if not all of it could be written.
  Status write(std::string_view text);
  // The same where nothing stands yet. False, and nothing is done, if something does.
  std::expected<bool, Error> write_new(std::string_view text);

private:
  WholeFile() = default;
  Status fill(std::string_view text);
  std::unexpected<Error> given_up(int error) const; // leaves nothing

  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::string path_, part_path_;
  std::unique_ptr<std::FILE, Close> part_;
};

} // namespace proberace
