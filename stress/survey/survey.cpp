#include "stress/survey/survey.h"

#include "harness/base/json_fields.h"
#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "harness/result/counts.h"
#include "harness/result/table.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>

namespace proberace {

namespace {

constexpr std::chrono::minutes kDeadline{10};
constexpr std::size_t kMnemonicsShown = 8;

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "-"
                    : fmt::format("{:.2f}", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::uint64_t number(const Json& data, const char* key) {
  return data.at(key).get<std::uint64_t>();
}

std::string ways(const Json& data) {
  std::vector<std::string> words;
  for (const auto& [way, count] : data.at("ways").items())
    if (!way.empty())
      words.push_back(fmt::format("{} {}", way, count.get<std::uint64_t>()));
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string file_name(const std::string& file) {
  return std::filesystem::path(file).filename();
}

void add_row(Table& table, const std::string& file, const std::string& strategy, const Json& data) {
  const std::uint64_t all = number(data, "instructions");
  table.add({file, strategy, std::to_string(all), percent(number(data, "armed"), all), ways(data)});
}

} // namespace

std::vector<std::string> surveyed_strategies() {
  return stepping_strategies();
}

std::vector<ElfSurvey> survey_elf(const std::vector<std::string>& files,
                                  const std::vector<std::string>& strategies, std::size_t sites,
                                  const std::function<void(const std::string&)>& progress) {
  std::vector<ElfSurvey> surveys;
  for (const std::string& file : files)
    for (const std::string& strategy : strategies) {
      progress(fmt::format("{} on {}", strategy, file));
      CellSpec spec{"elf-survey", Json{{"strategy", strategy}, {"file", file}, {"sites", sites}}, kDeadline};
      surveys.push_back({file, strategy, run_cell(spec)});
      if (surveys.back().verdict.is(Ending::Refused)) // the file itself, for every strategy
        return surveys;
    }
  return surveys;
}

std::string text_of(const std::vector<ElfSurvey>& surveys) {
  Table table({"file", "strategy", "instructions", "probed %", "how"}, {false, false, true, true});
  std::string described;
  std::string refused;
  std::map<std::string, Json> sums; // by strategy
  std::vector<std::string> order;   // of strategies
  std::map<std::string, std::size_t> files_of;
  std::string file;
  std::size_t files = 0;
  for (const ElfSurvey& s : surveys) {
    if (!s.verdict.is(Ending::Held)) {
      refused += fmt::format("  {}, {}: {}: {}\n", file_name(s.file), s.strategy, name(s.verdict.ending),
                             s.verdict.summary);
      if (s.verdict.data.is_null())
        continue;
    }
    const Json& data = s.verdict.data;
    const std::uint64_t all = number(data, "instructions");
    if (s.file != file) {
      file = s.file;
      ++files;
      described += fmt::format(
          "{}: {} instructions; RIP-relative {} %, relative control flow {} %, across a page {} %\n",
          file_name(file), all, percent(number(data, "rip_relative"), all),
          percent(number(data, "relative_flow"), all), percent(number(data, "page_crossing"), all));
    }
    add_row(table, file_name(s.file), s.strategy, data);
    for (const auto& [reason, mnemonics] : data.at("refused").items())
      refused += fmt::format("  {}, {}: {}: {}\n", file_name(s.file), s.strategy, reason,
                             most_frequent(mnemonics, kMnemonicsShown));
    if (!sums.contains(s.strategy))
      order.push_back(s.strategy);
    ++files_of[s.strategy];
    add_counts(sums[s.strategy], data);
  }
  if (files > 1)
    for (const std::string& strategy : order)
      add_row(table, fmt::format("{} of {} files", files_of[strategy], files), strategy, sums[strategy]);
  return described + "\n" + table.text() + refused;
}

Json to_json(const std::vector<ElfSurvey>& surveys) {
  return Json{{"schema", "proberace/elf-survey/1"}, {"rows", write_fields(surveys)}};
}

} // namespace proberace
