#include "stress/hunt/race_file.h"

#include "harness/file/whole_file.h"
#include "harness/machine/provenance.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace proberace {

namespace {

constexpr std::string_view kSchema = "proberace/race/1";

// Letters, digits and hyphens of what is named.
std::string file_name(const RaceFile& race) {
  std::string name = race.program.strategy + "-" + race.verdict.value("property", std::string());
  if (name.ends_with('-'))
    name += race.verdict.value("ending", std::string("broken"));
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0)
      c = '-';
  return fmt::format("{}-{}", name, race.seed);
}

Json to_json(const Exploration& series) {
  return Json{{"scheduler", name(series.scheduler)},
              {"seed", series.seed},
              {"schedules", series.schedules},
              {"depth", series.depth},
              {"preemptions", series.preemptions}};
}

// Nothing if it is none.
std::optional<Exploration> series_from(const Json& json) {
  Exploration series;
  for (const char* key : {"seed", "schedules", "depth", "preemptions"})
    if (!json.is_object() || !json.contains(key) || !json[key].is_number_unsigned())
      return std::nullopt;
  if (!json.contains("scheduler") || !json["scheduler"].is_string())
    return std::nullopt;
  const auto scheduler = scheduler_named(json["scheduler"].get<std::string>());
  if (!scheduler || json["schedules"] == 0 || json["depth"] == 0 || json["depth"] > schedule::Pct::kMaxDepth)
    return std::nullopt;
  series.scheduler = *scheduler;
  series.seed = json["seed"];
  series.schedules = json["schedules"];
  series.depth = json["depth"];
  series.preemptions = json["preemptions"];
  return series;
}

std::unexpected<Error> bad(const std::string& path, const std::string& why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, why)});
}

} // namespace

std::expected<std::string, Error> save_race(const std::string& directory, const RaceFile& race) {
  Json json{
      {"schema", kSchema},       {"program", to_json(race.program)}, {"schedule", text_of(race.schedule)},
      {"runs", race.runs},       {"scheduler", race.scheduler},      {"seed", race.seed},
      {"verdict", race.verdict}, {"provenance", provenance()}};
  if (!race.recurs)
    json["recurs"] = false;
  if (race.series)
    json["series"] = to_json(*race.series);
  std::error_code ignored; // the file cannot be created then, and that is said
  std::filesystem::create_directories(directory, ignored);
  std::string path = fmt::format("{}/{}.race", directory, file_name(race));
  for (int n = 2;; ++n) { // nothing is overwritten
    auto file = WholeFile::create(path);
    if (!file)
      return std::unexpected(file.error());
    const auto written = file->write_new(json.dump(2) + "\n");
    if (!written)
      return std::unexpected(written.error());
    if (*written)
      return path;
    path = fmt::format("{}/{}-{}.race", directory, file_name(race), n);
  }
}

std::expected<RaceFile, Error> load_race(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    return bad(path, "cannot be read; give a file that `proberace hunt --scheduler` wrote");
  const Json json = Json::parse(in, nullptr, false);
  if (!json.is_object() || json.value("schema", Json()) != kSchema)
    return bad(path, fmt::format("is no counterexample: its \"schema\" is not \"{}\"", kSchema));
  if (!json.contains("program") || !json.value("schedule", Json()).is_string())
    return bad(path, "has no \"program\" or no \"schedule\"");
  const auto program = program_from(json["program"]);
  if (!program)
    return bad(path, program.error().message);
  const auto schedule = schedule_from(json["schedule"].get<std::string>());
  if (!schedule)
    return bad(path, schedule.error().message);
  RaceFile race{*program, *schedule, 1, {}, 0, json.value("verdict", Json::object()), {}};
  if (!race.verdict.is_object())
    return bad(path, "its \"verdict\" is none");
  if (json.contains("recurs"))
    race.recurs = json["recurs"] != false;
  if (json.contains("runs")) {
    if (!json["runs"].is_number_unsigned() || json["runs"] == 0)
      return bad(path, "\"runs\" is no number above 0");
    race.runs = json["runs"];
  }
  if (json.contains("series")) {
    race.series = series_from(json["series"]);
    if (!race.series)
      return bad(path, "its \"series\" is no series of schedules");
  }
  if (json.contains("scheduler") && json["scheduler"].is_string())
    race.scheduler = json["scheduler"];
  if (json.contains("seed") && json["seed"].is_number_unsigned())
    race.seed = json["seed"];
  return race;
}

} // namespace proberace
