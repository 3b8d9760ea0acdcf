#include "harness/probe/plugin.h"

#include "harness/base/failure.h"
#include "harness/probe/registry.h"

#include <dlfcn.h>
#include <link.h>

extern "C" constinit const int PROBERACE_INTERFACE_SYMBOL = 0;

namespace proberace {

namespace {

std::vector<std::string>& loaded() {
  static std::vector<std::string> names;
  return names;
}

} // namespace

const std::vector<std::string>& loaded_plugins() {
  return loaded();
}

Status load_plugin(const std::string& path) {
  // A bare name would be looked for among the system's libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  const std::size_t before = plug_ins().size();
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const std::string why = ::dlerror();
    if (why.find("undefined symbol: proberace_interface_") != std::string::npos)
      return bad_input("{} was built against another interface of proberace: build it again "
                       "with the headers that belong to this program",
                       path);
    return bad_input("cannot load the plug-in: {}", why);
  }
  if (plug_ins().size() == before)
    return bad_input("{} registers no strategy (harness/probe/registry.h)", path);
  if (link_map* map = nullptr; ::dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0)
    loaded().emplace_back(map->l_name);
  return {};
}

} // namespace proberace
