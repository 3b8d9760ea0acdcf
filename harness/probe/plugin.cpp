#include "harness/probe/plugin.h"

#include "harness/probe/registry.h"

#include <dlfcn.h>
#include <fmt/format.h>

extern "C" constinit const int PROBERACE_INTERFACE_SYMBOL = 0;

namespace proberace {

Status load_plugin(const std::string& path) {
  // A bare name would be looked for among the system's libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  const std::size_t before = plug_ins().size();
  if (::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == nullptr) {
    const std::string why = ::dlerror();
    if (why.find("undefined symbol: proberace_interface_") != std::string::npos)
      return std::unexpected(
          Error{ErrorKind::BadInput,
                {},
                fmt::format("{} was built against another interface of proberace: build it again "
                            "with the headers that belong to this program",
                            path)});
    return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("cannot load the plug-in: {}", why)});
  }
  if (plug_ins().size() == before)
    return std::unexpected(Error{
        ErrorKind::BadInput, {}, fmt::format("{} registers no strategy (harness/probe/registry.h)", path)});
  return {};
}

} // namespace proberace
