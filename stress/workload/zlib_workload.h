// Real input for libz: the texts under /usr/share/common-licenses and libz' own file, compressed and
// decompressed.
#pragma once

#include "stress/workload/zlib_library.h"

#include <cstdint>
#include <string>
#include <vector>

namespace proberace {

using FileBytes = std::vector<std::uint8_t>;

struct ZlibInput {
  std::string path;
  FileBytes content;
};

// Sorted by path; symbolic links left out. At most `bytes_per_file` of each, 0 for all. MachineLacks if there
// is none.
std::expected<std::vector<ZlibInput>, Error> zlib_inputs(std::size_t bytes_per_file);

// Compresses and decompresses every input, input i on thread i % threads (pinned to `cpus`, one per thread).
// The compressed bytes, or nothing for an input that did not come back as it was.
std::vector<FileBytes> zlib_round_trip(const ZlibLibrary& zlib, const std::vector<ZlibInput>& inputs,
                                       const std::vector<int>& cpus);

} // namespace proberace
