// How a scenario is run: free, or under which scheduler, and how often. A value that goes into a cell and a
// file.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/base/fields.h"
#include "harness/base/json_fields.h"
#include "harness/schedule/chooser.h"

#include <chrono>

namespace proberace {

enum class SchedulerKind {
  Free, // nobody schedules: threads run as the kernel has them
  Random,
  Pct,
  Exhaustive,
  Given,
  Mixed,  // random and pct of several depths alternately: for shrinking
  Guided, // the steps of another scenario's run, as far as they are there
  Toward, // the steps of a model's run, which leaves some out
};

struct SchedulerRow {
  SchedulerKind value;
  std::string_view name;
  bool offered; // to people
};

inline constexpr auto kSchedulers = enumeration<SchedulerRow>({
    {SchedulerKind::Free, "free", true},
    {SchedulerKind::Random, "random", true},
    {SchedulerKind::Pct, "pct", true},
    {SchedulerKind::Exhaustive, "exhaustive", true},
    {SchedulerKind::Given, "given", false},
    {SchedulerKind::Mixed, "mixed", false},
    {SchedulerKind::Guided, "guided", false},
    {SchedulerKind::Toward, "toward", false},
});
constexpr const auto& rows_of(SchedulerKind) noexcept {
  return kSchedulers;
}

// "12:1,15:0": at step 12 task 1 runs on, at step 15 task 0.
std::string text_of(const schedule::Schedule& schedule);
std::expected<schedule::Schedule, Error> schedule_from(std::string_view text);

template <> struct JsonForm<schedule::Schedule> {
  static Json write(const schedule::Schedule& schedule) { return text_of(schedule); }
  static std::optional<schedule::Schedule> read(const Json& json);
  static std::string expected() { return "a schedule, STEP:TASK,... with ascending steps"; }
};
template <> struct JsonForm<schedule::GuideStep> {
  static Json write(const schedule::GuideStep& step) { return Json::array({step.task, step.name}); }
  static std::optional<schedule::GuideStep> read(const Json& json);
  static std::string expected() { return "a step, [TASK, NAME]"; }
};
template <> struct JsonForm<std::chrono::milliseconds> {
  static Json write(std::chrono::milliseconds time) { return time.count(); }
  static std::optional<std::chrono::milliseconds> read(const Json& json);
  static std::string expected() { return "milliseconds"; }
};

struct Exploration {
  SchedulerKind scheduler = SchedulerKind::Random;
  std::uint64_t seed = 0;                   // of the first schedule; each later one adds one
  std::size_t schedules = 1000;             // at most
  std::size_t depth = 3;                    // of Pct
  std::size_t preemptions = 2;              // bound of Exhaustive
  schedule::Schedule given{};               // of Given
  std::vector<schedule::GuideStep> guide{}; // of Guided and Toward
  std::string record{};                     // a file for the steps of each schedule; none if empty
  std::string log{}; // of a free run: a new file for every hit and execution (harness/log)
  std::chrono::milliseconds budget{10'000};

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("scheduler", self.scheduler);
    field("seed", self.seed, kMayBeMissing);
    field("schedules", self.schedules, kMayBeMissing, AtLeast{1});
    field("depth", self.depth, kMayBeMissing, Between{std::size_t{1}, schedule::Pct::kMaxDepth});
    field("preemptions", self.preemptions, kMayBeMissing);
    field("schedule", self.given, kOmitEmpty);
    field("guide", self.guide, kOmitEmpty);
    field("record", self.record, kOmitEmpty);
    field("log", self.log, kOmitEmpty);
    field("budget_ms", self.budget, kMayBeMissing);
  }
  bool operator==(const Exploration&) const = default;
  bool is_free() const noexcept { return scheduler == SchedulerKind::Free; }
};

} // namespace proberace
