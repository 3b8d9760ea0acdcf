#include "harness/probe/roles.h"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace proberace {

namespace {

struct Claims {
  std::map<Role, std::string> holders;
  std::map<std::string, std::string> favoured; // by plain name
};

// A function's static: claims are made before main, in no known order.
Claims& claims() {
  static Claims instance;
  return instance;
}

template <typename Key> bool enter(std::map<Key, std::string>& table, const Key& key, std::string plug_in) {
  const auto [it, is_new] = table.emplace(key, plug_in);
  if (!is_new) {
    std::fprintf(stderr, "proberace: two plug-ins claim one role: '%s' and '%s'\n", it->second.c_str(),
                 plug_in.c_str());
    std::abort();
  }
  return true;
}

} // namespace

bool claim(Role role, std::string plug_in) {
  return enter(claims().holders, role, std::move(plug_in));
}

const std::string& holder_of(Role role) {
  static const std::string none;
  const auto it = claims().holders.find(role);
  return it != claims().holders.end() ? it->second : none;
}

bool claim_plain_name(const std::string& variant) {
  return enter(claims().favoured, variant.substr(0, variant.rfind('/')), variant);
}

std::string plain_name(const std::string& plug_in) {
  for (const auto& [plain, favoured] : claims().favoured)
    if (plug_in == favoured)
      return plain;
  return plug_in;
}

std::string full_name(const std::string& plug_in) {
  const auto it = claims().favoured.find(plug_in);
  return it != claims().favoured.end() ? it->second : plug_in;
}

} // namespace proberace
