#include "stress/scenario/model_trail.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <map>
#include <memory>
#include <ranges>
#include <sstream>
#include <unistd.h>

namespace proberace {

namespace {

// The text behind `key` in the lines of the file that have it.
std::vector<std::string> lines_of(const std::string& file, std::string_view key) {
  std::vector<std::string> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const std::size_t at = line.find(key); at != std::string::npos)
      found.push_back(line.substr(at + key.size()));
  return found;
}

// "GUARD=1" for each of the model's ("Guard: GUARD mutant"), 0 for those it is without. BadInput for one it
// has not.
std::expected<std::vector<std::string>, Error> definitions_of(const std::string& model,
                                                              const std::vector<std::string>& without) {
  std::vector<std::string> definitions{
      "FRESH"}; // cores that fetch anew each time: a controlled run has no others
  std::size_t off = 0;
  for (const std::string& line : lines_of(model, "Guard: ")) {
    const std::string guard = line.substr(0, line.find(' '));
    const bool on = std::ranges::find(without, guard) == without.end();
    definitions.push_back(fmt::format("{}={}", guard, on ? 1 : 0));
    off += on ? 0 : 1;
  }
  if (off != without.size())
    return bad_input("{} has not all of the guards {}", model, fmt::join(without, ", "));
  return definitions;
}

// "#define S_trap_taken 4": a point's name in the code has . or - where the model has _, so both are compared
// with _.
std::map<int, std::string> names_in(const std::string& file) {
  std::map<int, std::string> names;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string define, name;
    int number = 0;
    if (words >> define >> name >> number && define == "#define" && name.starts_with("S_"))
      names[number] = name.substr(2);
  }
  return names;
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// The lines that `spin -t` prints of the trail; run in the model's folder, where the files it includes are.
std::expected<std::vector<std::string>, Error> printed_by_spin(const std::filesystem::path& trail,
                                                               const std::filesystem::path& model,
                                                               const std::vector<std::string>& definitions) {
  std::string command =
      fmt::format("cd {} && spin -k {} -T -B", shell_quoted(model.parent_path()), shell_quoted(trail));
  for (const std::string& d : definitions)
    command += " " + shell_quoted("-D" + d);
  command += fmt::format(" {} 2>&1", shell_quoted(model));
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  std::vector<std::string> lines;
  char line[512];
  while (pipe && std::fgets(line, sizeof line, pipe.get()) != nullptr)
    lines.emplace_back(line);
  for (const std::string& l : lines)
    if (l.find("spin: not found") != std::string::npos)
      return machine_lacks("there is no spin: install the package spin");
    else if (l.find("transition failed") != std::string::npos)
      return bad_input("{}: no trail of {}, or of it with other guards", trail.string(), model.string());
  return lines;
}

} // namespace

std::expected<ModelTrail, Error> read_trail(const std::string& trail, const std::string& model,
                                            const std::vector<std::string>& without) {
  const std::filesystem::path model_path = std::filesystem::absolute(model);
  for (const std::string& file : {trail, model})
    if (::access(file.c_str(), R_OK) != 0)
      return bad_input("{}: cannot be read", file);
  const auto head = lines_of(model, "Scenario: ");
  if (head.empty())
    return bad_input("{}: is no model: it has no line \"Scenario: \"", model);
  const auto definitions = definitions_of(model, without);
  if (!definitions)
    return std::unexpected(definitions.error());
  auto scenario = scenario_from_text(fmt::format("{}", fmt::join(head, "\n")));
  if (!scenario)
    return bad_input("{}: {}", model, scenario.error().message);
  const auto lines = printed_by_spin(std::filesystem::absolute(trail), model_path, *definitions);
  if (!lines)
    return std::unexpected(lines.error());
  const auto names = names_in(model_path.parent_path() / "names.inc");
  ModelTrail read{std::move(*scenario), {}, {}};
  for (const auto& [number, name] : names)
    read.points.insert(name);
  for (const std::string& line : *lines) {
    std::istringstream words(line);
    std::string step;
    unsigned task = 0;
    int number = 0;
    if (!(words >> step >> task >> number) || step != "step")
      continue;
    if (task >= 2 * read.scenario.threads.size() || // those that threads start are numbered behind them
        !names.contains(number))
      return bad_input("{}: {} takes a step that {} does not have", trail, task, model);
    read.steps.push_back({static_cast<std::uint8_t>(task), names.at(number)});
  }
  if (read.steps.empty())
    return bad_input("{}: spin finds no step of {} in it: {}", trail, model,
                     lines->empty() ? "it prints nothing" : lines->front());
  return read;
}

std::vector<schedule::GuideStep> guide_of(const ModelTrail& trail) {
  std::vector<schedule::GuideStep> guide;
  for (std::size_t t = 0; t < trail.scenario.threads.size(); ++t)
    guide.push_back({static_cast<std::uint8_t>(t), "begin"});
  guide.insert(guide.end(), trail.steps.begin(), trail.steps.end());
  return guide;
}

std::size_t steps_taken(const ModelTrail& trail, std::span<const TakenStep> run) noexcept {
  const auto of_model = [&](const TakenStep& step) {
    return std::ranges::any_of(
        trail.points, [&](const std::string& point) { return schedule::same_point(point, step.name); });
  };
  std::size_t taken = 0;
  for (const TakenStep& step : run | std::views::filter(of_model)) {
    if (taken == trail.steps.size() || step.task != trail.steps[taken].task ||
        !schedule::same_point(trail.steps[taken].name, step.name))
      break;
    ++taken;
  }
  return taken;
}

} // namespace proberace
