#include "stress/names/object_name.h"

#include <cstdlib>
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

bool is_file(const LoadedObject& object, const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);
  const bool same_path = real != nullptr && object.path == real;
  std::free(real);
  struct stat found {};
  return same_path ||
         (::stat(path.c_str(), &found) == 0 && found.st_ino == object.inode && found.st_dev == object.device);
}

// As either process sees it.
bool is_path_to(const LoadedObject& object, const std::string& name, pid_t process) {
  if (name.find('/') == std::string::npos) {
    const auto program = found_in_path(name);
    return program && is_file(object, *program);
  }
  return is_file(object, name) ||
         (name.front() == '/' && is_file(object, fmt::format("/proc/{}/root{}", process, name)));
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
  if (program.find('/') != std::string::npos || path == nullptr)
    return std::nullopt;
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = fmt::format("{}{}{}", folder, folder.empty() ? "" : "/", program);
    if (::access(file.c_str(), X_OK) == 0)
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
  if (Objects found = those([&](const auto& o) { return is_path_to(o, text, process); }); !found.empty())
    return found;
  if (Objects found = those([&](const auto& o) { return file_name(o).starts_with(text + ".so"); });
      !found.empty())
    return found;
  if (is_pattern(name))
    return those([&](const auto& o) { return fits_name(text, file_name(o)) || fits_name(text, soname(o)); });
  return those([&](const auto& o) { return o.path.ends_with(text); });
}

} // namespace proberace
