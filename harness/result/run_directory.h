// One directory per run: results/<machine>/<UTC time>/. Written under a temporary name and renamed when
// whole; nothing recorded is overwritten or half-written.
#pragma once

#include "harness/file/line_writer.h"
#include "harness/result/summary.h"

#include <filesystem>

namespace proberace {

class RunDirectory {
public:
  // Makes <out>/<machine>/.<time>.part. BadInput, naming the folder, if it cannot be written to.
  static std::expected<RunDirectory, Error> create(const std::filesystem::path& out,
                                                   const std::string& machine, const std::string& time);

  // The folder for files until finish().
  const std::filesystem::path& path() const noexcept { return part_; }
  Status write(const std::string& file, const std::string& content) const;
  std::expected<LineWriter, Error> raw(const std::string& file) const;

  // Renames to the final name, which it returns. A second run within the same second gets "-2" behind it, and
  // so on.
  std::expected<std::filesystem::path, Error> finish();

private:
  std::filesystem::path part_;
  std::filesystem::path final_;
};

// Reads <directory>/summary.json. BadInput says what is wrong, where.
std::expected<Summary, Error> read_summary(const std::filesystem::path& directory);

// Replaces a file's content as a whole: written beside it, synced, renamed over it.
Status write_whole(const std::filesystem::path& path, const std::string& content);

} // namespace proberace
