#include "stress/cli/mutant_set.h"

#include "harness/base/shell.h"
#include "harness/probe/registry.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/ranges.h>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

namespace proberace {

std::string Mutant::program() const {
  return fmt::format("{}/mutants/mutant-{}", PROBERACE_BUILD, name);
}

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Mutant mutant_of(const std::string& name, const std::string& patch) {
  Mutant m{name, {}, {}, {}};
  m.patch = std::hash<std::string>{}(patch);
  std::istringstream in(patch);
  for (std::string line; std::getline(in, line) && !line.starts_with("--- ");)
    for (const auto& [key, value] : {std::pair{"Hazards: ", &m.hazards}, std::pair{"Strategy: ", &m.strategy},
                                     std::pair{"Expected: ", &m.expected}})
      if (line.starts_with(key))
        *value = line.substr(std::string_view(key).size());
  return m;
}

// The files that a patch touches.
std::set<std::string> files_of(const std::string& patch) {
  constexpr std::string_view kHead = "+++ b/";
  std::set<std::string> files;
  std::istringstream in(patch);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(kHead))
      files.insert(line.substr(kHead.size(), line.find_first_of("\t ", kHead.size()) - kHead.size()));
  return files;
}

// Source files that include one of these headers, directly or not, and are compiled into every program.
std::set<std::string> includers_of(std::set<std::string> headers, const fs::path& root) {
  std::map<std::string, std::string> texts;
  for (const char* const folder : {"harness", "strategies"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder))
      if (const std::string file = fs::relative(entry.path(), root).string();
          (file.ends_with(".h") || file.ends_with(".cpp")) && !file.ends_with("_test.cpp") &&
          !file.starts_with("strategies/example/"))
        texts[file] = text_of(entry.path());
  std::set<std::string> sources;
  for (bool more = true; more;) {
    more = false;
    for (const auto& source : texts)
      if (std::ranges::any_of(headers, [&source](const std::string& header) {
            return source.second.contains(fmt::format("#include \"{}\"", header));
          }))
        more = (source.first.ends_with(".h") ? headers : sources).insert(source.first).second || more;
  }
  return sources;
}

// Read by stress/mutants/CMakeLists.txt.
fs::path patches_folder() {
  return fs::path(PROBERACE_BUILD) / "mutants/patches";
}

Error bad_patch(const std::string& file, std::string_view why) {
  return Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", file, why)};
}

} // namespace

std::expected<Mutant, Error> take_patch(const std::string& file, const std::string& strategy) {
  const fs::path root = fs::path(PROBERACE_MUTANTS).parent_path().parent_path();
  if (!std::ifstream(file))
    return std::unexpected(bad_patch(file, "cannot be read"));
  const std::string patch = text_of(file);
  const std::set<std::string> files = files_of(patch);
  if (files.empty())
    return std::unexpected(bad_patch(file, "is not a patch as `git diff` writes it"));
  for (const std::string& name : files)
    if (!name.starts_with("harness/") && !name.starts_with("strategies/"))
      return std::unexpected(
          bad_patch(file, "changes " + name + "; a mutant changes harness/ or strategies/"));
  Mutant m = mutant_of(fs::path(file).stem().string(), patch);
  // It names a target, and stands in commands.
  if (!std::ranges::all_of(m.name,
                           [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; }) ||
      file.contains('\''))
    return std::unexpected(bad_patch(file, "has a name that is not made of letters, digits, - and _"));
  if (m.strategy.empty())
    m.strategy = strategy;
  if (m.strategy.empty())
    return std::unexpected(bad_patch(file, "has no line 'Strategy: NAME'; name one with --strategy"));
  if (const auto known = make_prober(m.strategy); !known)
    return std::unexpected(bad_patch(file, known.error().message));
  if (fs::exists(fs::path(PROBERACE_MUTANTS) / (m.name + ".patch")))
    return std::unexpected(bad_patch(file, "a mutant of stress/mutants has its name"));
  if (const Outcome applies = run_shell(fmt::format("patch -s -f -p1 --dry-run -d '{}' -i '{}' 2>&1",
                                                    root.string(), fs::absolute(file).string()));
      applies.status != 0)
    return std::unexpected(
        bad_patch(file, "does not apply to the code here; `patch --dry-run -p1` says where"));
  std::set<std::string> headers = files;
  std::erase_if(headers, [](const std::string& name) { return !name.ends_with(".h"); });
  std::string head;
  for (const std::string& source : headers.empty() ? std::set<std::string>{} : includers_of(headers, root))
    if (!files.contains(source))
      head += fmt::format("Builds: {}\n", source);
  const fs::path folder = patches_folder();
  fs::create_directories(folder);
  std::ofstream(folder / (m.name + ".patch")) << head << patch;
  return m;
}

void forget_patches() {
  std::error_code none;
  fs::remove_all(patches_folder(), none);
}

std::vector<Mutant> all_mutants() {
  std::vector<Mutant> mutants;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(PROBERACE_MUTANTS, none))
    if (entry.path().extension() == ".patch")
      mutants.push_back(mutant_of(entry.path().stem().string(), text_of(entry.path())));
  std::ranges::sort(mutants, {}, &Mutant::name);
  return mutants;
}

void build(const std::vector<Mutant>& mutants) {
  std::vector<std::string> targets;
  for (const Mutant& m : mutants)
    targets.push_back("mutant-" + m.name);
  const auto build = [](const std::string& names) {
    return run_shell(fmt::format("cmake --build {} --target {} -- -k 0 2>&1", PROBERACE_BUILD, names))
               .status == 0;
  };
  if (build(fmt::format("{}", fmt::join(targets, " "))))
    return;
  for (const Mutant& m : mutants)
    if (!build("mutant-" + m.name)) // one that was built of something else before is not it
      std::filesystem::remove(m.program());
}

} // namespace proberace
