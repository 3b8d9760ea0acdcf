// The acts (acts.def), without those that fork.
#include "harness/base/code_pages.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>

namespace proberace {

void ScenarioRun::execute_own(std::size_t thread, std::size_t body) noexcept {
  if (leaves_)
    Signals::execute_leavable(*this, thread, body);
  else
    execute(rows_.own(thread), body);
}

namespace perform {

void Run(ScenarioRun& run, std::size_t thread, const Act& act) {
  run.run_bodies(thread, act);
}

void Insert(ScenarioRun& run, std::size_t thread, const Act& act) {
  run.operate(thread, true, act.bodies);
}

void Remove(ScenarioRun& run, std::size_t thread, const Act& act) {
  run.operate(thread, false, act.bodies);
  for (const std::size_t body : act.bodies)
    run.look_whether_still_clear(thread, body);
}

void Close(ScenarioRun& run, std::size_t thread, const Act&) {
  Signals::burst(run, thread);
  run.close_while_running(thread);
}

void Pause(ScenarioRun& run, std::size_t, const Act& act) {
  if (!run.controlled_)
    run.wait_for_executions(act.count);
}

void Signal(ScenarioRun& run, std::size_t, const Act& act) {
  Signals::signal(run, act, Signals::Sent::Execute);
}

void Doze(ScenarioRun& run, std::size_t, const Act& act) {
  if (Signals::may_doze(run))
    Signals::signal(run, act, Signals::Sent::Doze);
}

void Leave(ScenarioRun& run, std::size_t, const Act& act) {
  Signals::signal(run, act, Signals::Sent::Leave);
}

void Spawn(ScenarioRun& run, std::size_t thread, const Act& act) {
  Signals::spawn(run, thread, act, false);
}

void Cancel(ScenarioRun& run, std::size_t thread, const Act& act) {
  Signals::spawn(run, thread, act, true);
}

// Re-entry needs a hit handler that is called inside another's hit; a plain execution where it is not
// promised.
void Nest(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.tickets_ && run.prober_->promises().has(Promise::Reentrant))
    Signals::nest_next(act.bodies[1]);
  run.execute_own(thread, act.bodies[0]);
  Signals::nest_nothing(); // it was not hit
}

void Change(ScenarioRun& run, std::size_t thread, const Act& act) {
  Signals::change_next(Signals::Change::Register);
  run.execute_own(thread, act.bodies[0]);
  Signals::change_next(Signals::Change::None);
}

void Skip(ScenarioRun& run, std::size_t thread, const Act& act) {
  Signals::change_next(Signals::Change::Pc);
  run.execute_own(thread, act.bodies[0]);
  Signals::change_next(Signals::Change::None);
}

void Int3s(ScenarioRun& run, std::size_t thread, const Act&) {
  Signals::take_own_traps(run, thread);
}

void Steps(ScenarioRun& run, std::size_t thread, const Act& act) {
  Signals::step_itself(run, thread, act.bodies[0]);
}

void Fault(ScenarioRun& run, std::size_t thread, const Act& act) {
  Worker& self = run.workers_[run.rows_.own(thread)];
  self.load_from(kFaultsHere);
  run.execute_own(thread, act.bodies[0]);
  self.load_from(&kNothingToAdd);
}

// The program gives its own code's pages the permissions they have: that must neither fail nor take a probe
// away (H15).
void Protect(ScenarioRun& run, std::size_t thread, const Act& act) {
  const Address page = page_of(run.sites_[act.bodies[0]].address);
  if (::mprotect(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC) != 0)
    run.note(thread, property_name(BrokenProperty::Mprotect),
             fmt::format("mprotect of the page of site {}: {}", run.name_of(act.bodies[0]),
                         strerrordesc_np(errno)));
}

} // namespace perform

} // namespace proberace
