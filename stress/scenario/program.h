// A program of threads as a value: each executes bodies, inserts and removes probes, signals others. It is
// generated, shrunk, printed as one line and run again, one step at a time (controlled.h). What runs free is a
// history (stress/scenario/history.h).
#pragma once

#include "harness/base/error.h"
#include "stress/scenario/history.h"

namespace proberace {

enum class ActKind {
  Execute, // a body
  Insert,
  Remove,
  Signal,  // another thread, whose handler executes a body
  Fork,    // a child that executes a body and ends
  Spawn,   // a thread that executes a body and ends
  Exec,    // a child that executes a body and becomes another program
  Protect, // the page of a body gets the permissions it has
  Nest,    // a body whose hit handler executes another
  // Only if the strategy promises to survive it; otherwise nothing is done.
  Change, // a body whose hit handler changes a register
  Skip,   // a body whose hit handler sets the PC, so that the rest of it is left out
  Trap,   // int3s of the program's own
  Vfork,  // a child that shares the memory executes a body and ends
  Jump, // signals another thread, whose handler executes a body and leaves what it interrupted by siglongjmp
  Cancel, // a thread that executes a body and is ended by a signal, wherever that finds it
  Fault,  // a body whose load faults; the program's handler looks at the PC and goes on behind it
};

struct Act {
  ActKind kind = ActKind::Execute;
  std::vector<std::size_t>
      sites{};            // indices into Program::bodies; any of Insert and Remove, two of Nest, or one
  std::size_t thread = 0; // of Signal and Jump: who executes the body in a signal handler
  bool operator==(const Act&) const = default;
};

struct Program {
  std::string strategy;
  std::vector<PlacedName> bodies{};        // each has one site
  std::vector<std::size_t> armed{};        // before the threads start
  std::vector<std::vector<Act>> threads{}; // what each does, in its order
  bool reopened = false;                   // the prober is opened anew for each run
  bool operator==(const Program&) const = default;
};

inline constexpr std::size_t kMaxProgramThreads = 8;
inline constexpr std::size_t kActKinds = 16;
// The body that can fault.
inline constexpr const char* kFaultingBody = "load";

Json to_json(const Program& program);
// BadInput for what is no program.
std::expected<Program, Error> program_from(const Json& json);
// For RapidCheck's report, and people: one line.
std::ostream& operator<<(std::ostream& out, const Program& program);
// "x0" executes, "+0,1" inserts, "-0" removes, "!1:0" signals thread 1, whose handler executes body 0, "f0"
// forks, "t0" starts a thread, "e0" forks and executes another program, "m0" calls mprotect, "n0,1" executes
// body 0, whose hit handler executes body 1; "c0" and "s0" have hit handlers that change a register and skip,
// "i0" executes int3s, "v0" vforks, "j1:0" is a signal left by a jump, "k0" starts a
// thread and ends it, "d0" faults.
std::string text_of(const Act& act);
// Whether it names a thread.
constexpr bool signals(ActKind kind) noexcept {
  return kind == ActKind::Signal || kind == ActKind::Jump;
}
// Whether it starts a thread.
constexpr bool spawns(ActKind kind) noexcept {
  return kind == ActKind::Spawn || kind == ActKind::Cancel;
}
char letter_of(ActKind kind) noexcept;

} // namespace proberace
