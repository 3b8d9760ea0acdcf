// A directory of finished cases: what was hunted (campaign.json) and a line of JSON for each seed that is
// done, in a file for each process that wrote some.
//
// Idea: a line is appended by one write(2), to a file that no one else writes and that is never written again
// later. A process that is killed leaves at most one line without an end, which counts as not there.
// Directories of the same campaign are put together by copying lines. Trade-off: the lines survive the
// process, not a power failure.
#pragma once

#include "harness/base/error.h"
#include "harness/cell/verdict.h"

#include <cstdint>
#include <map>
#include <string>

namespace proberace {

struct CaseSet {
  Json campaign;                      // what was hunted, and how
  std::map<std::uint64_t, Json> done; // by seed; a case found twice counts once

  // Of two lines of one seed the one that broke is kept: free threads may behave differently the next time.
  // False if the line brought nothing new.
  bool keep(Json line);
};

class CaseDirectory {
public:
  // Makes the directory, or checks that it is one of the same campaign: BadInput says what differs.
  static std::expected<CaseDirectory, Error> open(const std::string& path, const Json& campaign);

  // BadInput if there is none.
  static std::expected<CaseSet, Error> read(const std::string& path);

  // Appends finished cases. One per process.
  class Writer {
  public:
    Writer(Writer&& other) noexcept;
    Writer& operator=(Writer&&) = delete;
    ~Writer();
    // The case is there for good when this returns. `result` has "seed".
    Status append(const Json& result);

  private:
    friend class CaseDirectory;
    explicit Writer(std::string path) : path_(std::move(path)) {}
    std::string path_;
    int file_ = -1; // opened by the first append
  };
  Writer writer() const;

  const std::string& path() const noexcept { return path_; }

private:
  explicit CaseDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The first campaign's cases and those of the others. BadInput names the directory that is of another
// campaign.
std::expected<CaseSet, Error> merged(const std::vector<std::string>& paths);

} // namespace proberace
