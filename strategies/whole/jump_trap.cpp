// The traps of threads that meet a site while it is being patched: int3-first means an int3 is visible for a
// few microseconds of each insertion and removal. Such a thread goes on in the trampoline, as if the jump had
// been there already (what Linux's text_poke_bp emulates, arch/x86/kernel/alternative.c). A thread that
// trapped then and comes here later executes the site again.
#include "harness/base/process_memory.h"
#include "harness/base/raw_syscall.h"
#include "harness/base/threads.h"
#include "strategies/whole/jump_site.h"

#include <sys/syscall.h>
#include <ucontext.h>

namespace proberace {

namespace {

std::atomic<JumpSession*> the_session{nullptr};
SignalAction previous{}; // whose SIGTRAP it was; kept when a later handler still refers to ours

void pass_on(int signo, siginfo_t* info, void* raw_context) {
  // libc's SIG_DFL and SIG_IGN, as the kernel stores them; a forced SIGTRAP cannot be ignored.
  const auto kind = reinterpret_cast<std::uintptr_t>(previous.handler);
  const bool forced = info->si_code == SI_KERNEL || info->si_code > 0;
  if (kind > 1) {
    previous.handler(signo, info, raw_context);
  } else if (kind == 0 || forced) {
    restore_signal_action(signo, SignalAction{});
    raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), current_thread(), signo);
  }
}

// Where the thread that trapped at `at` goes on, and which path that is; null if the trap is not ours.
Address resume_at(const JumpTable& table, Address at, Path& path) {
  for (;;) {
    const JumpSite* const site = table.find(at);
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
    Path path{};
    const Address to = resume_at(session->table, Address{static_cast<std::uintptr_t>(rip)} - 1, path);
    if (to != Address{}) {
      add_one(session->counters.mine().paths[static_cast<std::size_t>(path)]);
      rip = static_cast<greg_t>(value(to));
      return;
    }
  }
  if (session != nullptr)
    add_one(session->counters.mine().paths[static_cast<std::size_t>(Path::ForeignTrap)]);
  pass_on(signo, info, raw_context);
}

} // namespace

bool JumpTable::add(Address at, JumpSite* site) noexcept {
  std::size_t i = bucket(at);
  for (std::size_t looked = 0; looked < kBuckets; ++looked, i = (i + 1) % kBuckets) {
    const std::uintptr_t key = entries_[i].key.load(std::memory_order_relaxed); // the only writer is here
    if (key != 0 && key != value(at))
      continue;
    entries_[i].site.store(site, std::memory_order_release);     // pairs with find
    entries_[i].key.store(value(at), std::memory_order_release); // pairs with find
    return true;
  }
  return false;
}

JumpSite* JumpTable::find(Address at) const noexcept {
  for (std::size_t i = bucket(at);; i = (i + 1) % kBuckets) {
    const std::uintptr_t key = entries_[i].key.load(std::memory_order_acquire); // pairs with add
    if (key == value(at))
      return entries_[i].site.load(std::memory_order_acquire); // pairs with add
    if (key == 0)
      return nullptr;
  }
}

JumpSession* jump_session() noexcept {
  return the_session.load(std::memory_order_acquire); // pairs with begin
}

Status begin_jump_session(JumpSession& session) {
  JumpSession* none = nullptr;
  if (!the_session.compare_exchange_strong(none, &session,
                                           std::memory_order_acq_rel)) // pairs with on_sigtrap
    return std::unexpected(
        Error{ErrorKind::AlreadyOpen, {}, "another jump prober is open in this process; close it first"});
  return {};
}

void end_jump_session() noexcept {
  the_session.store(nullptr, std::memory_order_release); // pairs with on_sigtrap
}

Status take_sigtrap() {
  const SignalAction now = current_signal_action(SIGTRAP);
  if (now.handler == &on_sigtrap)
    return {};
  previous = now;
  const auto old =
      install_signal_action(SIGTRAP, &on_sigtrap, SA_NODEFER, kAllSignals & ~signal_bit(SIGTRAP));
  if (!old)
    return std::unexpected(system_error("cannot install a SIGTRAP handler", old.error()));
  return {};
}

void give_sigtrap_back() noexcept {
  if (current_signal_action(SIGTRAP).handler == &on_sigtrap)
    restore_signal_action(SIGTRAP, previous);
}

} // namespace proberace
