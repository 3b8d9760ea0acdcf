// Handles the traps of threads that meet a site while it is being patched: since the int3 is written first,
// it is visible for a few microseconds of each insertion and removal. Such a thread continues in the
// trampoline, as if the jump had been there already (Linux's text_poke_bp emulates the same,
// arch/x86/kernel/alternative.c). A thread that trapped then and arrives here later executes the site again.
#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/schedule/point.h"
#include "harness/trap/signal_session.h"
#include "strategies/whole/jump_site.h"

#include <ucontext.h>

namespace proberace {

namespace {

std::atomic<JumpSession*> the_session{nullptr};
// The SIGTRAP actions that we found when we first took it, and when we last did; null before. They are never
// freed, because another thread may be looking: a program's handler may call ours, and ours may have been put
// before that one since.
std::vector<std::unique_ptr<const SignalAction>> taken_from;
std::atomic<const SignalAction*> first{nullptr};
std::atomic<const SignalAction*> last{nullptr};

// The trap that this thread is passing on: a second call for it, further down the stack, comes from the
// program's handler.
struct Passing {
  const void* context = nullptr;
  const void* frame = nullptr;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local Passing t_passing;

// signal-safe. Passes a trap to the action that was found last; a trap that comes back from that one's
// handler goes to the action that was found first, and so not in a circle.
void pass_along(int signo, siginfo_t* info, void* raw_context) {
  const Passing before = t_passing;
  const Passing now{raw_context, __builtin_frame_address(0)};
  const bool again = (before.context == raw_context && now.frame < before.frame) ||
                     jump_session() == nullptr; // given back: only the program's handler calls ours
  t_passing = now;
  // Pairs with take_sigtrap.
  pass_on(*(again ? first : last).load(std::memory_order_acquire), signo, info, raw_context);
  t_passing = before;
}

// The address at which the thread that trapped at `at` continues, and the path that this is; null if the trap
// is not ours.
Address resume_at(const JumpSession& session, Address at, Path& path) {
  for (;;) {
    const JumpSite* const site = session.table.find(at);
    if (site == nullptr)
      return {};
    path = Path::Breakpoint;
    if (at != site->site.address)
      return site->trampoline; // it trapped on the site's springboard, which is padding otherwise
    // Both loads pair with set_patching (jump_writer.cpp).
    const std::uint32_t state = site->patching.load(std::memory_order_acquire);
    if ((state & 1) != 0)
      return site->trampoline;
    std::uint8_t byte = 0;
    path = Path::LostRace;
    if (!read_memory(at, {&byte, 1}) || byte != kInt3)
      return at;
    if (site->patching.load(std::memory_order_acquire) == state)
      return {};
  }
}

void on_sigtrap(int signo, siginfo_t* info, void* raw_context) {
  // Pairs with begin_jump_session.
  JumpSession* const session = the_session.load(std::memory_order_acquire);
  auto& rip = static_cast<ucontext_t*>(raw_context)->uc_mcontext.gregs[REG_RIP];
  if (session != nullptr && info->si_code == SI_KERNEL) {
    schedule::point("jump.trap", Address{static_cast<std::uintptr_t>(rip)} - 1);
    Path path{};
    const Address to = resume_at(*session, Address{static_cast<std::uintptr_t>(rip)} - 1, path);
    if (to != Address{}) {
      count_one(session->threads.mine().paths[static_cast<std::size_t>(path)]);
      rip = static_cast<greg_t>(value(to));
      return;
    }
  }
  if (session != nullptr)
    count_one(session->threads.mine().paths[static_cast<std::size_t>(Path::ForeignTrap)]);
  pass_along(signo, info, raw_context);
}

} // namespace

JumpSession* jump_session() noexcept {
  // Pairs with begin_jump_session.
  return the_session.load(std::memory_order_acquire);
}

Status begin_jump_session(JumpSession& session) {
  JumpSession* none = nullptr;
  // Pairs with on_sigtrap.
  if (!the_session.compare_exchange_strong(none, &session, std::memory_order_acq_rel))
    return failure(ErrorKind::AlreadyOpen, "another jump prober is open in this process; close it first");
  return {};
}

void end_jump_session() noexcept {
  // Pairs with on_sigtrap.
  the_session.store(nullptr, std::memory_order_release);
}

Status take_sigtrap() {
  const SignalAction now = current_signal_action(SIGTRAP);
  if (now.handler == &on_sigtrap || passes_traps_on_to(&on_sigtrap))
    return {};
  taken_from.push_back(std::make_unique<const SignalAction>(now));
  // Both stores pair with pass_along. Relaxed: the prober's lock is held.
  last.store(taken_from.back().get(), std::memory_order_release);
  if (first.load(std::memory_order_relaxed) == nullptr)
    first.store(taken_from.back().get(), std::memory_order_release);
  const auto old =
      install_signal_action(SIGTRAP, &on_sigtrap, SA_NODEFER, kAllSignals & ~signal_bit(SIGTRAP));
  if (!old)
    return std::unexpected(system_error("cannot install a SIGTRAP handler", old.error()));
  return {};
}

void give_sigtrap_back() noexcept {
  if (current_signal_action(SIGTRAP).handler == &on_sigtrap)
    restore_signal_action(SIGTRAP, *last.load(std::memory_order_relaxed));
}

} // namespace proberace
