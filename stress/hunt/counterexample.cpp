#include "stress/hunt/counterexample.h"

#include "harness/base/failure.h"
#include "harness/base/json_fields.h"
#include "harness/base/read_file.h"
#include "harness/cell/endings.h"
#include "harness/file/whole_file.h"
#include "harness/machine/provenance.h"
#include "harness/probe/registry.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <vector>

namespace proberace {

namespace {

std::vector<std::unique_ptr<ReplayKind>>& replay_kinds() {
  static std::vector<std::unique_ptr<ReplayKind>> instance;
  return instance;
}

// "poke-in-place-lost-hit-7": the strategy, what broke and the hunt's seed, in letters, digits and hyphens.
std::string stem_of(const Counterexample& found) {
  std::string stem = found.strategy + "-" + what_broke(found.verdict);
  if (stem.ends_with('-'))
    stem += "broken";
  for (char& c : stem)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0)
      c = '-';
  return fmt::format("{}-{}", stem, found.seed);
}

std::vector<std::string_view> names_of_kinds() {
  std::vector<std::string_view> names;
  for (const auto& kind : replay_kinds())
    names.push_back(kind->name());
  std::ranges::sort(names);
  return names;
}

std::unexpected<Error> bad_counterexample(const std::string& path, const std::string& why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("{}: {}", path, why)});
}

// Checks what the fields' types do not say. Empty if nothing is wrong.
std::string why_not_usable(const Counterexample& found) {
  const auto text = [&](const char* key) { return found.verdict[key].is_string(); };
  if (!found.what.is_object())
    return "field 'case': expected an object";
  if (!found.verdict.is_object() || !found.verdict.contains("ending") || !text("ending") ||
      (found.verdict.contains("property") && !text("property")))
    return "field 'verdict': expected an object with an \"ending\" and a \"property\" as strings";
  const ReplayKind* const kind = replay_kind(found.kind);
  if (kind == nullptr)
    return fmt::format("field 'kind': nothing here runs '{}'; there are: {}", found.kind,
                       fmt::join(names_of_kinds(), ", "));
  if (const auto prober = make_prober(found.strategy); !prober)
    return prober.error().message;
  const Status usable = kind->check(found);
  return usable ? std::string() : usable.error().message;
}

} // namespace

std::unexpected<Error> in_its_case(const Error& why) {
  return std::unexpected(Error{why.kind, why.address, "case: " + why.message});
}

bool register_replay_kind(std::unique_ptr<ReplayKind> kind) {
  replay_kinds().push_back(std::move(kind));
  return true;
}

const ReplayKind* replay_kind(std::string_view name) noexcept {
  for (const auto& kind : replay_kinds())
    if (kind->name() == name)
      return kind.get();
  return nullptr;
}

std::expected<std::string, Error> save(const std::string& directory, const Counterexample& found) {
  std::error_code ignored; // then the file cannot be created, and the error says so
  std::filesystem::create_directories(directory, ignored);
  Json json = write_fields(found);
  if (found.provenance.is_null())
    json["provenance"] = provenance();
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  const std::string stem = stem_of(found);
  std::string path = fmt::format("{}/{}.json", directory, stem);
  for (int n = 2;; ++n) { // nothing is overwritten
    auto file = WholeFile::create(path);
    if (!file)
      return std::unexpected(file.error());
    const auto written = file->write_new(text);
    if (!written)
      return std::unexpected(written.error());
    if (*written)
      return path;
    path = fmt::format("{}/{}-{}.json", directory, stem, n);
  }
}

Status can_save_to(const std::string& directory) {
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  const auto trial = WholeFile::create(fmt::format("{}/counterexample.json", directory));
  return trial ? Status{} : std::unexpected(trial.error());
}

std::expected<Counterexample, Error> load_counterexample(const std::string& path) {
  const auto text = read_file(path);
  if (!text)
    return bad_input("{}; give a file that a command has saved", text.error().message);
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("schema"))
    return bad_counterexample(path, "is no counterexample; give a file that a command has saved");
  auto found = read_fields<Counterexample>(json, UnknownKeys::Refused);
  if (!found)
    return bad_counterexample(path, found.error().message);
  if (const std::string wrong = why_not_usable(*found); !wrong.empty())
    return bad_counterexample(path, wrong);
  return found;
}

} // namespace proberace
