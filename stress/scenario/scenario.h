// A scenario: threads that do things to probed code, as a value. It is generated, shrunk, written as text
// that people read and type, and run again, either free (scenario_run.h) or one step at a time (explore.h).
//
//   strategy poke+in-place
//   bodies A=mov B=push@1
//   armed A
//   thread 0: run A; insert B
//   thread 1 rounds 8: signal 0: run B; remove A B
//   thread 2 pinned: run A B until-done jitter 100
#pragma once

#include "harness/base/error.h"
#include "harness/base/json_forward.h"
#include "stress/scenario/act.h"

#include <array>
#include <iosfwd>
#include <string>

namespace proberace {

// A body by its name (stress/code/body.h), on a page of the text.
struct PlacedName {
  std::string body;
  std::size_t page = 0;
  bool operator==(const PlacedName&) const = default;
};

struct ScenarioThread {
  std::vector<Act> acts{};
  std::size_t rounds = 1; // of all its acts
  bool pinned = false;    // in a free run: to the next CPU of the scenario's plan
  bool operator==(const ScenarioThread&) const = default;
};

struct Scenario {
  std::string strategy;
  std::string plan = "across-cores"; // of a free run's pinned threads (harness/machine/pin_plan.h)
  std::vector<PlacedName> bodies{};  // each has one site
  std::vector<std::size_t> armed{};  // before the threads start
  std::vector<ScenarioThread> threads{};
  bool reopened = false;  // the prober is opened anew for each run
  bool unhandled = false; // no hit handler is set
  bool operator==(const Scenario&) const = default;
};

// What a scenario has or lacks as a whole, each by the word that is its line.
struct ScenarioFlag {
  std::string_view word;
  bool Scenario::*member;
};
inline constexpr std::array kScenarioFlags{
    ScenarioFlag{"reopened", &Scenario::reopened},
    ScenarioFlag{"unhandled", &Scenario::unhandled},
};

inline constexpr std::size_t kMaxSites = 64;
inline constexpr std::size_t kMaxThreads = 80;
inline constexpr std::size_t kMaxControlledThreads = 8;
// Pinned threads that execute until the others are done.
inline constexpr std::size_t kMaxWorkers = 64;
// The body that can fault.
inline constexpr const char* kFaultingBody = "load";

bool runs_until_done(const ScenarioThread& thread) noexcept;
// True if some act (of some thread) has one of these traits.
bool some_act_has(const ScenarioThread& thread, std::uint32_t traits) noexcept;
bool some_act_has(const Scenario& scenario, std::uint32_t traits) noexcept;

// "A" for body 0, "Z" for 25, "AA" for 26.
std::string letters_of(std::size_t body);
std::string text_of(const Act& act);
std::string text_of(const Scenario& scenario);
// The inverse. BadInput names the line and what is wrong with it. Empty lines and what stands behind # are
// left out.
std::expected<Scenario, Error> scenario_from_text(std::string_view text);

Json to_json(const Scenario& scenario);
// BadInput for what is no scenario.
std::expected<Scenario, Error> scenario_from(const Json& json);
// For RapidCheck's report.
std::ostream& operator<<(std::ostream& out, const Scenario& scenario);

// Why nobody can run it; "" if it can be.
std::string why_not(const Scenario& scenario);
// A line for each act: how it is written, and what it does.
std::string acts_help();

} // namespace proberace
