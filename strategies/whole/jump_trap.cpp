// The traps of threads that meet a site while it is being patched: int3-first means an int3 is visible for a
// few microseconds of each insertion and removal. Such a thread goes on in the trampoline, as if the jump had
// been there already (what Linux's text_poke_bp emulates, arch/x86/kernel/alternative.c). A thread that
// trapped then and comes here later executes the site again.
#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/schedule/point.h"
#include "harness/trap/signal_session.h"
#include "strategies/whole/jump_site.h"

#include <ucontext.h>

namespace proberace {

namespace {

std::atomic<JumpSession*> the_session{nullptr};
// Whose SIGTRAP it was when we first took it, and when we last did; null before. Kept for ever, as another
// thread may be looking: a program's handler may call ours, and ours may have been put before that one since.
std::vector<std::unique_ptr<const SignalAction>> taken_from;
std::atomic<const SignalAction*> first{nullptr};
std::atomic<const SignalAction*> last{nullptr};

// The trap this thread is passing on: a second call for it, further down the stack, comes from the program's
// handler.
struct Passing {
  const void* context = nullptr;
  const void* frame = nullptr;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local Passing t_passing;

// signal-safe. To who was there last; and from that one's handler to who was there first, not round again.
void pass_along(int signo, siginfo_t* info, void* raw_context) {
  const Passing before = t_passing;
  const Passing now{raw_context, __builtin_frame_address(0)};
  const bool again = (before.context == raw_context && now.frame < before.frame) ||
                     jump_session() == nullptr; // given back: only the program's handler still calls ours
  t_passing = now;
  pass_on(*(again ? first : last).load(std::memory_order_acquire), // pairs with take_sigtrap
          signo, info, raw_context);
  t_passing = before;
}

// Where the thread that trapped at `at` goes on, and which path that is; null if the trap is not ours.
Address resume_at(const JumpSession& session, Address at, Path& path) {
  for (;;) {
    const JumpSite* const site = session.table.find(at);
    if (site == nullptr)
      return {};
    path = Path::Breakpoint;
    if (at != site->site.address)
      return site->trampoline; // on its springboard, which is padding otherwise
    const std::uint32_t state = site->patching.load(std::memory_order_acquire); // pairs with JumpWriter
    if ((state & 1) != 0)
      return site->trampoline;
    std::uint8_t byte = 0;
    path = Path::LostRace;
    if (!read_memory(at, {&byte, 1}) || byte != kInt3)
      return at;
    if (site->patching.load(std::memory_order_acquire) == state) // pairs with JumpWriter
      return {};
  }
}

void on_sigtrap(int signo, siginfo_t* info, void* raw_context) {
  JumpSession* const session = the_session.load(std::memory_order_acquire); // pairs with begin
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
  return the_session.load(std::memory_order_acquire); // pairs with begin
}

Status begin_jump_session(JumpSession& session) {
  JumpSession* none = nullptr;
  if (!the_session.compare_exchange_strong(none, &session,
                                           std::memory_order_acq_rel)) // pairs with on_sigtrap
    return failure(ErrorKind::AlreadyOpen, "another jump prober is open in this process; close it first");
  return {};
}

void end_jump_session() noexcept {
  the_session.store(nullptr, std::memory_order_release); // pairs with on_sigtrap
}

Status take_sigtrap() {
  const SignalAction now = current_signal_action(SIGTRAP);
  if (now.handler == &on_sigtrap || passes_traps_on_to(&on_sigtrap))
    return {};
  taken_from.push_back(std::make_unique<const SignalAction>(now));
  last.store(taken_from.back().get(), std::memory_order_release); // pairs with pass_along
  if (first.load(std::memory_order_relaxed) == nullptr)           // under the prober's lock
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
