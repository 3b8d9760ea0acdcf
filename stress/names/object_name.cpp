#include "stress/names/object_name.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fnmatch.h>
#include <functional>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace proberace {

namespace {

using Objects = std::vector<const LoadedObject*>;

bool ends_with_components(const std::string& path, const std::string& end) {
  if (!path.ends_with(end))
    return false;
  const std::size_t before = path.size() - end.size();
  return before == 0 || end.front() == '/' || path[before - 1] == '/';
}

struct Identity {
  std::string path; // "" if it cannot be resolved
  std::uint64_t device = 0, inode = 0;

  bool is(const LoadedObject& object) const {
    return object.path == path || (inode != 0 && object.inode == inode && object.device == device);
  }
};

Identity identity_of(const std::string& path) {
  Identity identity;
  std::error_code ignored;
  identity.path = std::filesystem::canonical(path, ignored).string();
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    identity.device = found.st_dev;
    identity.inode = found.st_ino;
  }
  return identity;
}

// The files that it is a path to, as either process sees it.
std::vector<Identity> files_at(const std::string& name, pid_t process) {
  if (name.find('/') == std::string::npos) {
    const auto program = found_in_path(name);
    return program ? std::vector{identity_of(*program)} : std::vector<Identity>{};
  }
  std::vector<Identity> files{identity_of(name)};
  if (name.front() == '/')
    files.push_back(identity_of(fmt::format("/proc/{}/root{}", process, name)));
  return files;
}

bool fits_name(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

} // namespace

std::string file_name(const LoadedObject& object) {
  return object.path.substr(object.path.rfind('/') + 1);
}

std::optional<std::string> found_in_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = fmt::format("{}/{}", folder.empty() ? "." : folder, program);
    if (::access(file.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(file))
      return file;
  }
  return std::nullopt;
}

std::vector<const LoadedObject*> objects_named(const ProbeName::Part& name,
                                               std::span<const LoadedObject> loaded, pid_t process) {
  const std::string& text = name.text;
  const auto those = [&](const std::function<bool(const LoadedObject&)>& mean) {
    Objects found;
    for (const LoadedObject& object : loaded)
      if (mean(object))
        found.push_back(&object);
    return found;
  };
  const auto soname = [](const LoadedObject& o) { return o.image ? o.image->soname : std::string{}; };
  if (Objects found = those([&](const auto& o) { return ends_with_components(o.path, text); });
      !found.empty())
    return found;
  if (Objects found = those([&](const auto& o) { return soname(o) == text; }); !found.empty())
    return found;
  const std::vector<Identity> files = files_at(text, process);
  if (Objects found = those([&](const auto& o) {
        return std::ranges::any_of(files, [&](const Identity& file) { return file.is(o); });
      });
      !found.empty())
    return found;
  if (Objects found = those([&](const auto& o) { return file_name(o).starts_with(text + ".so"); });
      !found.empty())
    return found;
  if (is_pattern(name))
    return those([&](const auto& o) { return fits_name(text, file_name(o)) || fits_name(text, soname(o)); });
  return those([&](const auto& o) { return o.path.ends_with(text); });
}

std::vector<const LoadedObject*> objects_meant(const std::optional<ProbeName::Part>& name,
                                               std::span<const LoadedObject> loaded, pid_t process) {
  if (name)
    return objects_named(*name, loaded, process);
  std::vector<const LoadedObject*> all;
  for (const LoadedObject& object : loaded)
    all.push_back(&object);
  return all;
}

} // namespace proberace
