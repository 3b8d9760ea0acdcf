// Debian's libz, loaded at run time, so that it is a library like any other and not part of the harness.
#pragma once

#include "harness/base/error.h"

#include <zlib.h>

namespace proberace {

struct ZlibLibrary {
  decltype(&::adler32) adler32 = nullptr;
  decltype(&::compressBound) compress_bound = nullptr;
  decltype(&::compress2) compress2 = nullptr;
  decltype(&::uncompress) uncompress = nullptr;
  decltype(&::zlibVersion) version = nullptr;

  // MachineLacks if there is no libz.so.1.
  static std::expected<ZlibLibrary, Error> load();
};

} // namespace proberace
