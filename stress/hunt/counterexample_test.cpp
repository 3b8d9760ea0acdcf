// A counterexample's file: what is saved is what is loaded, and a malformed one is refused in one line.
#include "stress/hunt/counterexample.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

// A kind that runs nothing: its case is one number, which must be even.
class EvenNumber final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "test-even-number"; }
  Status check(const Counterexample& found) const override {
    if (found.what.contains("number") && found.what["number"].is_number_unsigned() &&
        found.what["number"].get<unsigned>() % 2 == 0)
      return {};
    return std::unexpected(Error{ErrorKind::BadInput, {}, "\"number\" must be even"});
  }
  Replayed run(const Counterexample&) const override { return {}; }
};

const bool even_number_registered = register_replay_kind(std::make_unique<EvenNumber>());

Counterexample an_example() {
  Counterexample found;
  found.kind = "test-even-number";
  found.strategy = "poke+in-place";
  found.what = Json{{"number", 4}};
  found.schedule = Json("0 1 0");
  found.verdict = Json{{"ending", "broken"},
                       {"property", "lost-hit"},
                       {"summary", "one hit was lost"},
                       {"evidence", nullptr},
                       {"data", nullptr}};
  found.seed = 7;
  found.recurs = false;
  return found;
}

class CounterexampleFile : public testing::Test {
protected:
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // Saves the example, changes its JSON, and returns why it is not loaded any longer.
  std::string refusal_of(const std::function<void(Json&)>& change) {
    const std::string path = save(directory_, an_example()).value();
    Json json = Json::parse(std::ifstream(path));
    change(json);
    std::ofstream(path) << json.dump();
    const auto loaded = load_counterexample(path);
    std::filesystem::remove(path);
    if (loaded)
      return "it was loaded";
    EXPECT_EQ(loaded.error().kind, ErrorKind::BadInput);
    EXPECT_TRUE(loaded.error().message.starts_with(path + ": ")) << loaded.error().message;
    EXPECT_EQ(loaded.error().message.find('\n'), std::string::npos);
    return loaded.error().message.substr(path.size() + 2);
  }

  const std::string directory_ =
      std::filesystem::temp_directory_path() / fmt::format("proberace-counterexample-{}", ::getpid());
};

} // namespace

TEST_F(CounterexampleFile, LoadsWhatWasSaved) {
  const auto path = save(directory_, an_example());
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, directory_ + "/poke-in-place-lost-hit-7.json");
  const auto loaded = load_counterexample(*path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Counterexample saved = an_example();
  EXPECT_EQ(loaded->kind, saved.kind);
  EXPECT_EQ(loaded->strategy, saved.strategy);
  EXPECT_EQ(loaded->what, saved.what);
  EXPECT_EQ(loaded->schedule, saved.schedule);
  EXPECT_EQ(loaded->verdict, saved.verdict);
  EXPECT_EQ(loaded->seed, saved.seed);
  EXPECT_EQ(loaded->recurs, saved.recurs);
  const Json json = Json::parse(std::ifstream(*path));
  EXPECT_EQ(json["schema"], "proberace/counterexample/1");
  EXPECT_EQ(json["provenance"]["schema"], "proberace/provenance/1");
}

TEST_F(CounterexampleFile, OverwritesNothing) {
  Counterexample found = an_example();
  found.verdict["property"] = "";
  found.verdict["ending"] = "crashed";
  EXPECT_EQ(save(directory_, found).value(), directory_ + "/poke-in-place-crashed-7.json");
  found.what["number"] = 6;
  EXPECT_EQ(save(directory_, found).value(), directory_ + "/poke-in-place-crashed-7-2.json");
  EXPECT_EQ(save(directory_, found).value(), directory_ + "/poke-in-place-crashed-7-3.json");
  EXPECT_EQ(load_counterexample(directory_ + "/poke-in-place-crashed-7.json")->what["number"], 4);
  EXPECT_EQ(load_counterexample(directory_ + "/poke-in-place-crashed-7-2.json")->what["number"], 6);
}

TEST_F(CounterexampleFile, ScheduleAndRecursMayBeMissing) {
  Counterexample found = an_example();
  found.schedule.reset();
  const std::string path = save(directory_, found).value();
  Json json = Json::parse(std::ifstream(path));
  EXPECT_FALSE(json.contains("schedule"));
  json.erase("recurs");
  std::ofstream(path) << json.dump();
  const auto loaded = load_counterexample(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_FALSE(loaded->schedule);
  EXPECT_TRUE(loaded->recurs);
}

TEST_F(CounterexampleFile, AMalformedFieldIsRefusedInWords) {
  for (const char* key : {"kind", "strategy", "case", "verdict", "seed"})
    EXPECT_TRUE(
        refusal_of([&](Json& j) { j.erase(key); }).starts_with(fmt::format("field '{}' is missing", key)))
        << key;
  for (const char* key : {"schema", "kind", "strategy", "case", "verdict", "seed", "recurs"})
    EXPECT_TRUE(
        refusal_of([&](Json& j) { j[key] = -1; }).starts_with(fmt::format("field '{}': expected", key)))
        << key;
  for (const char* key : {"property", "ending"})
    EXPECT_TRUE(refusal_of([&](Json& j) { j["verdict"][key] = 3; }).starts_with("field 'verdict': expected"))
        << key;
  EXPECT_TRUE(
      refusal_of([](Json& j) { j["verdict"].erase("ending"); }).starts_with("field 'verdict': expected"));
  EXPECT_TRUE(refusal_of([](Json& j) { j["sead"] = 3; }).starts_with("field 'sead' is unknown"));
  EXPECT_TRUE(refusal_of([](Json& j) { j.erase("schema"); }).starts_with("is no counterexample"));
  EXPECT_TRUE(refusal_of([](Json& j) { j = Json::array(); }).starts_with("is no counterexample"));
  EXPECT_TRUE(refusal_of([](Json& j) { j["strategy"] = "no-such"; }).starts_with("no strategy is called"));
  const std::string unknown = refusal_of([](Json& j) { j["kind"] = "no-such"; });
  EXPECT_TRUE(unknown.starts_with("field 'kind': nothing here runs 'no-such'")) << unknown;
  EXPECT_NE(unknown.find("test-even-number"), std::string::npos) << unknown;
  EXPECT_EQ(refusal_of([](Json& j) { j["case"]["number"] = 5; }), "\"number\" must be even");
}

TEST_F(CounterexampleFile, AFileThatIsNotThereIsNamed) {
  const auto loaded = load_counterexample(directory_ + "/none.json");
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(loaded.error().message.starts_with(directory_ + "/none.json: cannot be read"))
      << loaded.error().message;
}

TEST_F(CounterexampleFile, AskingWhetherItCanBeSavedLeavesNothing) {
  EXPECT_TRUE(can_save_to(directory_));
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
  const Status nowhere = can_save_to("/proc/nowhere");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind, ErrorKind::BadInput);
  EXPECT_TRUE(nowhere.error().message.starts_with("cannot write '/proc/nowhere/")) << nowhere.error().message;
  EXPECT_FALSE(save("/proc/nowhere", an_example()));
}

} // namespace proberace
