#include "stress/cli/mutant_set.h"

#include "harness/base/shell.h"

#include <algorithm>
#include <filesystem>
#include <fmt/ranges.h>
#include <fstream>
#include <functional>
#include <sstream>

namespace proberace {

std::string Mutant::program() const {
  return fmt::format("{}/mutants/mutant-{}", PROBERACE_BUILD, name);
}

std::vector<Mutant> all_mutants() {
  std::vector<Mutant> mutants;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(PROBERACE_MUTANTS, none)) {
    if (entry.path().extension() != ".patch")
      continue;
    Mutant m{entry.path().stem().string(), {}, {}, {}};
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    m.patch = std::hash<std::string>{}(text);
    std::istringstream in(text);
    for (std::string line; std::getline(in, line) && !line.starts_with("--- ");)
      for (const auto& [key, value] :
           {std::pair{"Hazards: ", &m.hazards}, std::pair{"Strategy: ", &m.strategy},
            std::pair{"Expected: ", &m.expected}})
        if (line.starts_with(key))
          *value = line.substr(std::string_view(key).size());
    mutants.push_back(std::move(m));
  }
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
