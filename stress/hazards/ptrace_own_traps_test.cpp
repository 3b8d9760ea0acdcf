// SIGTRAPs that are the program's own, under a tracer that lives by SIGTRAP (H31, H70); and probes on what
// the prober's own commands run through (H29).
#include "stress/code/probed_text.h"
#include "stress/testing/expect_cell.h"

#include <csignal>
#include <dlfcn.h>
#include <fmt/format.h>
#include <ucontext.h>

namespace proberace {

namespace {

struct Trap {
  int code;
  std::uintptr_t pc;
};
constexpr int kMostTraps = 256;
Trap traps[kMostTraps];
volatile int trap_count = 0;

void note_trap(int, siginfo_t* info, void* context) {
  if (trap_count < kMostTraps)
    traps[trap_count] = {info->si_code, static_cast<std::uintptr_t>(
                                            static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP])};
  trap_count = trap_count + 1;
}

int traps_at(Address pc, int code) {
  int n = 0;
  for (int i = 0; i < std::min(static_cast<int>(trap_count), kMostTraps); ++i)
    n += traps[i].pc == value(pc) && traps[i].code == code ? 1 : 0;
  return n;
}

// Calls with the trap flag set from just before the call to just after it.
void call_stepping(const void* function) {
  asm volatile("sub $128, %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"
               "call *%0\n"
               "pushfq\n andq $~0x100, (%%rsp)\n popfq\n add $128, %%rsp"
               :
               : "r"(function)
               : "memory", "cc");
}

constexpr std::uint8_t kTrapsItself[] = {
    0x90, 0x90, 0xc3,       // 0: nop (the site), nop, ret
    0xcc, 0xc3,             // 3: the program's own int3
    0xcd, 0x03, 0xc3,       // 5: its two-byte int 3
    0x90, 0xc3, 0x90, 0x90, // 8: nop (the second site), ret
};

Verdict own_traps(const Json& parameters, Arena&) {
  auto text = Text::of_bytes(kTrapsItself);
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!text || !prober)
    return verdict_of(text ? prober.error() : text.error());
  const Address start = text->start();
  target.add_function(start, sizeof kTrapsItself, "own-traps");
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  const Site stepped = *target.site_at(start);
  const Site plain = *target.site_at(start + 8);
  if (const Status inserted = first_error((*prober)->insert({{stepped, plain}})); !inserted)
    return verdict_of(inserted.error());
  struct sigaction action {};
  action.sa_sigaction = &note_trap;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &action, nullptr);
  const auto call = [](Address a) { reinterpret_cast<void (*)()>(bytes_at(a))(); };
  call(start + 3);
  call(start + 5);
  call(start + 8);
  ::raise(SIGTRAP);
  if (traps_at(start + 4, SI_KERNEL) != 1 || traps_at(start + 7, SI_KERNEL) != 1 || trap_count != 3)
    return broken("own-trap",
                  fmt::format("of an int3, an int 3 and a raise the handler saw {} and {}, and {} in all",
                              traps_at(start + 4, SI_KERNEL), traps_at(start + 7, SI_KERNEL),
                              static_cast<int>(trap_count)));
  call_stepping(bytes_at(start));
  if (traps_at(start + 1, TRAP_TRACE) != 1 || traps_at(start + 2, TRAP_TRACE) != 1)
    return broken("own-step",
                  fmt::format("of its own steps over the site and behind it the handler saw {} and {}",
                              traps_at(start + 1, TRAP_TRACE), traps_at(start + 2, TRAP_TRACE)));
  if (const auto hits = (*prober)->hits(stepped) + (*prober)->hits(plain); hits != 2)
    return broken("wrong-count", fmt::format("2 executions, {} hits", hits));
  return held();
}

Verdict own_path(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 100;
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!prober)
    return verdict_of(prober.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  std::vector<Site> sites;
  for (const char* function : {"send", "recv", "malloc", "memcpy"}) {
    const auto site = target.site_at(address_of(::dlsym(RTLD_DEFAULT, function)));
    if (!site)
      return verdict_of(site.error());
    sites.push_back(*site);
  }
  for (int round = 0; round < 3; ++round) {
    if (const Status inserted = first_error((*prober)->insert(sites)); !inserted)
      return verdict_of(inserted.error());
    for (std::uint64_t i = 0; i < kTimes; ++i)
      (void)(*prober)->hits(sites[0]);
    if (const Status removed = first_error((*prober)->remove(sites)); !removed)
      return verdict_of(removed.error());
  }
  const std::uint64_t hits = (*prober)->hits(sites[0]);
  if (hits < 3 * kTimes)
    return broken("wrong-count", fmt::format("{} sends at least, {} hits", 3 * kTimes, hits));
  return held();
}

const bool ptrace_own_traps_test_registered = register_experiment("test/ptrace-own-traps", &own_traps) &&
                                              register_experiment("test/ptrace-own-path", &own_path);

class TracedTraps : public testing::TestWithParam<std::string> {
protected:
  static void expect_held(const std::string& experiment) {
    CellSpec spec;
    spec.experiment = experiment;
    spec.parameters = Json{{"strategy", GetParam()}};
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
  }
};

} // namespace

TEST_P(TracedTraps, H31_H70_TheProgramsOwnReachItsHandler) {
  expect_held("test/ptrace-own-traps");
}

TEST_P(TracedTraps, H29_WhatTheProbersCommandsRunThroughMayBeProbed) {
  expect_held("test/ptrace-own-path");
}

INSTANTIATE_TEST_SUITE_P(Strategies, TracedTraps,
                         testing::Values("ptrace:poke+xol-vma", "ptrace:stop-world+xol-vma",
                                         "ptrace:poke+in-place"),
                         test_name);

} // namespace proberace
