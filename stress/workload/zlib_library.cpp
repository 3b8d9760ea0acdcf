#include "stress/workload/zlib_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace proberace {

namespace {
template <typename F> bool find(void* library, const char* symbol, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, symbol));
  return function != nullptr;
}
} // namespace

std::expected<ZlibLibrary, Error> ZlibLibrary::load() {
  void* const library = ::dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
  ZlibLibrary z;
  if (library != nullptr && find(library, "adler32", z.adler32) &&
      find(library, "compressBound", z.compress_bound) && find(library, "compress2", z.compress2) &&
      find(library, "uncompress", z.uncompress) && find(library, "zlibVersion", z.version))
    return z;
  return std::unexpected(Error{
      ErrorKind::MachineLacks, {}, fmt::format("cannot load libz.so.1 (package zlib1g): {}", ::dlerror())});
}

} // namespace proberace
