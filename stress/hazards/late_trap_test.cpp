// H10 and H18, made certain: a tracer holds a thread exactly between its trap and its handler, while the site
// is removed, or removed and inserted again.
#include "stress/code/probed_text.h"
#include "stress/testing/expect_cell.h"
#include "stress/testing/wait_for.h"

#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// Shared with the tracer process.
struct Handshake {
  std::atomic<pid_t> worker{0};
  std::atomic<int> seized{0};
  std::atomic<int> held{0};    // the worker stands before the delivery of its SIGTRAP
  std::atomic<int> release{0}; // let it go
};

[[noreturn]] void tracer(Handshake& shake) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pid_t worker = 0;
  while ((worker = shake.worker.load(std::memory_order_acquire)) == 0) // pairs with the worker's store
    ::usleep(100);
  if (::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) != 0)
    ::_exit(1);
  shake.seized.store(1, std::memory_order_release); // pairs with the worker's wait_for
  int status = 0;
  ::waitpid(worker, &status, __WALL);
  if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
    ::_exit(2);
  shake.held.store(1, std::memory_order_release); // pairs with the controller's wait_for
  wait_for(shake.release);
  ::ptrace(PTRACE_DETACH, worker, nullptr, SIGTRAP);
  ::_exit(0);
}

Verdict late_trap(const Json& parameters, Arena&) {
  const bool insert_again = parameters.at("again");
  auto* const shake = static_cast<Handshake*>(
      ::mmap(nullptr, sizeof(Handshake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  const pid_t helper = ::fork();
  if (helper == 0)
    tracer(*shake);
  // One byte long: a PC that is not stepped back skips it whole (behind a REX prefix the rest would do nearly
  // the same).
  const Placement placement{body_named("pop"), 0};
  auto probed = ProbedText::open(parameters.at("strategy"), {&placement, 1});
  if (!probed)
    return verdict_of(probed.error());
  if (const Status inserted = (*probed)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  bool right = false;
  std::thread worker([&] {
    shake->worker.store(::gettid(), std::memory_order_release); // pairs with the tracer's load
    wait_for(shake->seized);
    right = (*probed)->execute(0);
  });
  wait_for(shake->held);
  Status done = (*probed)->remove_all();
  if (done && insert_again)
    done = (*probed)->insert_all();
  shake->release.store(1, std::memory_order_release); // pairs with the tracer's wait_for
  worker.join();
  int status = 0;
  ::waitpid(helper, &status, 0);
  if (!done)
    return broken("operation", describe(done.error()));
  if (status != 0)
    return broken("setup", fmt::format("the tracer ended with status {:#x}", status));
  const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(0));
  const std::uint64_t lost_races = (*probed)->prober().paths()[Path::LostRace];
  if (!right)
    return broken("wrong-result", "the displaced instruction was not executed, or not right");
  if (hits != (insert_again ? 1U : 0U) || lost_races != (insert_again ? 0U : 1U))
    return broken("path", fmt::format("{} hits, {} lost races", hits, lost_races));
  return held();
}

const bool late_trap_test_registered = register_experiment("test/late-trap", &late_trap);

// The test holds a thread by tracing it. A thread has one tracer, and one that is held cannot be stopped.
std::vector<std::string> traceable_strategies() {
  auto names = strategies_promising(
      {Promise::ExactCounts, Promise::RemovalWhileRunning, Promise::StackOperands}); // the body pops
  std::erase_if(names, [](const std::string& n) {
    const Facts facts = facts_of(n);
    return facts.stops_threads || facts.handled_by != HandledBy::Thread || facts.traps != Traps::EveryHit;
  });
  return names;
}

class LateTrap : public testing::TestWithParam<std::string> {
protected:
  void expect_held(bool again) {
    CellSpec spec;
    spec.experiment = "test/late-trap";
    spec.parameters = Json{{"strategy", GetParam()}, {"again", again}};
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
  }
};

} // namespace

// Fails if a handler that finds no live site takes the trap for the program's own, or does not step the PC
// back.
TEST_P(LateTrap, H10_RemovedBetweenTrapAndHandler) {
  expect_held(false);
}

TEST_P(LateTrap, H18_RemovedAndInsertedAgainBetweenTrapAndHandler) {
  expect_held(true);
}

INSTANTIATE_TEST_SUITE_P(Strategies, LateTrap, testing::ValuesIn(traceable_strategies()), test_name);

} // namespace proberace
