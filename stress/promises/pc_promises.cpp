// Promises about the PC that signal handlers see, one experiment each, named promise/<promise>.
#include "stress/code/probed_code.h"

#include <atomic>
#include <fmt/format.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// ---- signals-see-original-pc: PCs that a storm of signals saw must all lie in code that was there before.

constexpr int kSignals = 1000;
std::atomic<int> signals_taken{0};
std::uintptr_t signal_pcs[kSignals + 1];

void note_pc(int, siginfo_t*, void* context) {
  const int n = signals_taken.fetch_add(1, std::memory_order_relaxed); // one thread takes them all
  if (n < kSignals)
    signal_pcs[n] =
        static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
}

Verdict signals_see_original_pc(const Json& parameters, Arena&) {
  const AddressSpace before = AddressSpace::read();
  static AddressSpace known;
  known = before;
  return with_probes(parameters, {"mov", "call"}, [](ProbedText& probed) {
    struct sigaction action {};
    action.sa_sigaction = &note_pc;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
    const pid_t self = ::gettid();
    std::jthread storm([self](std::stop_token stop) {
      while (!stop.stop_requested() && signals_taken.load(std::memory_order_relaxed) < kSignals) {
        ::tgkill(::getpid(), self, SIGUSR1);
        std::this_thread::yield();
      }
    });
    Mailbox mailbox;
    std::uint64_t executions = 0;
    while (signals_taken.load(std::memory_order_relaxed) < kSignals && executions < 60'000) {
      probed.execute(executions++ % 2, mailbox);
    }
    storm.request_stop();
    storm.join();
    const Address text = probed.text().start();
    const int taken = std::min(signals_taken.load(std::memory_order_relaxed), kSignals);
    for (int i = 0; i < taken; ++i) {
      const Address pc{signal_pcs[i]};
      const Mapping* mapping = known.find(pc);
      const bool in_text = text <= pc && pc < text + static_cast<std::ptrdiff_t>(probed.text().bytes());
      if (!in_text && (mapping == nullptr || !mapping->executable))
        return broken("slot-pc", fmt::format("signal {} of {} saw {:#x}, which no code of the program holds",
                                             i, taken, value(pc)));
    }
    return held(fmt::format("{} signals", taken));
  });
}

// ---- faults-see-original-pc: a load through a null-like pointer; its handler looks at the PC and continues
// behind it.

std::atomic<std::uintptr_t> fault_pc{0};
std::uintptr_t fault_resume = 0;

void note_fault(int, siginfo_t*, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  fault_pc.store(static_cast<std::uintptr_t>(registers[REG_RIP]), std::memory_order_relaxed); // same thread
  registers[REG_RIP] = static_cast<greg_t>(fault_resume);
}

Verdict faults_see_original_pc(const Json& parameters, Arena&) {
  constexpr std::uint8_t kCode[] = {0x48, 0x8b, 0x07, 0xc3}; // mov (%rdi),%rax; ret
  auto text = Text::of_bytes(kCode);
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!text || !prober)
    return verdict_of(text ? prober.error() : text.error());
  target.add_function(text->start(), sizeof kCode, "load");
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  const Site site = *target.site_at(text->start());
  if (const Status inserted = first_error((*prober)->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  struct sigaction action {};
  action.sa_sigaction = &note_fault;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
  fault_resume = value(text->start() + 3);
  reinterpret_cast<void (*)(std::uintptr_t)>(bytes_at(text->start()))(0x10);
  const std::uintptr_t seen = fault_pc.load(std::memory_order_relaxed);
  if (seen != value(site.address))
    return broken("fault-pc",
                  fmt::format("the fault of {:#x} was reported at {:#x}", value(site.address), seen));
  return held();
}

const bool pc_promises_registered =
    register_experiment("promise/signals-see-original-pc", &signals_see_original_pc) &&
    register_experiment("promise/faults-see-original-pc", &faults_see_original_pc);

} // namespace

} // namespace proberace
