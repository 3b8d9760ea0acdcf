// Scenarios as text, for people and for files. The parser is scenario_parser.cpp.
#include "stress/scenario/scenario.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

std::string text_of_thread(const ScenarioThread& thread) {
  std::vector<std::string> acts;
  for (const Act& act : thread.acts)
    acts.push_back(text_of(act));
  return fmt::format("{}{}: {}", thread.rounds == 1 ? "" : fmt::format(" rounds {}", thread.rounds),
                     thread.pinned ? " pinned" : "", fmt::join(acts, "; "));
}

std::string letters_of(const std::vector<std::size_t>& bodies) {
  std::vector<std::string> letters;
  for (const std::size_t body : bodies)
    letters.push_back(proberace::letters_of(body));
  return fmt::format("{}", fmt::join(letters, " "));
}

} // namespace

std::string letters_of(std::size_t body) {
  std::string letters;
  for (std::size_t n = body + 1; n != 0; n = (n - 1) / 26)
    letters.insert(letters.begin(), static_cast<char>('A' + (n - 1) % 26));
  return letters;
}

std::string text_of(const Act& act) {
  const ActRow& row = row_of(act.kind);
  const std::string bodies = letters_of(act.bodies);
  switch (row.form) {
  case ActForm::Nothing: return std::string(row.word);
  case ActForm::Body: return fmt::format("{} {}", row.word, bodies);
  case ActForm::Bodies:
    return fmt::format("{} {}{}{}", row.word, bodies,
                       act.times == kUntilDone ? " until-done"
                       : act.times == 1        ? ""
                                               : fmt::format(" times {}", act.times),
                       act.jitter == 0 ? "" : fmt::format(" jitter {}", act.jitter));
  case ActForm::Runs: return fmt::format("{}: run {}", row.word, bodies);
  case ActForm::ThreadRuns: return fmt::format("{} {}: run {}", row.word, act.thread, bodies);
  case ActForm::BodyRuns:
    return fmt::format("{} {}: run {}", row.word, letters_of(act.bodies.at(0)), letters_of(act.bodies.at(1)));
  case ActForm::Count: return fmt::format("{} {}", row.word, act.count);
  }
  return {};
}

std::string text_of(const Scenario& s) {
  std::string text = fmt::format("strategy {}\n", s.strategy);
  // It says something of pinned threads only.
  if (s.plan != Scenario().plan || std::ranges::any_of(s.threads, &ScenarioThread::pinned))
    text += fmt::format("plan {}\n", s.plan);
  text += "bodies";
  for (std::size_t i = 0; i < s.bodies.size(); ++i)
    text += fmt::format(" {}={}{}", letters_of(i), s.bodies[i].body,
                        s.bodies[i].page == 0 ? "" : fmt::format("@{}", s.bodies[i].page));
  if (!s.armed.empty())
    text += "\narmed " + letters_of(s.armed);
  for (const ScenarioFlag& flag : kScenarioFlags)
    if (s.*flag.member)
      text += fmt::format("\n{}", flag.word);
  for (std::size_t t = 0; t < s.threads.size(); ++t)
    text += fmt::format("\nthread {}{}", t, text_of_thread(s.threads[t]));
  return text + "\n";
}

} // namespace proberace
