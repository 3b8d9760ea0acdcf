// Promises about flags and the program's own traps, one experiment each, named promise/<promise>.
#include "stress/code/probed_code.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace proberace {

namespace {

// ---- any-flags (H31, H75)

// rdi input, rsi the flags to set: returns them as they are behind the probed instructions.
PROBERACE_SNIPPET(Flags, R"(
        pushfq
        popq    %rdx
        pushq   %rsi
        popfq
        SITE
        {disp32} leaq 0(%rdi), %rax
        SITE
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        pushfq
        popq    %rcx
        pushq   %rdx
        popfq
        movq    %rcx, %rax
        ret
)");

// Steps itself through two probed instructions.
PROBERACE_SNIPPET(StepsItself, R"(
        pushfq
        orq     $0x100, (%rsp)
        popfq
        nop
        SITE
        {disp32} leaq 0(%rdi), %rax
        nop
        SITE
        {disp32} leaq 1(%rax), %rax
        pushfq
        andq    $~0x100, (%rsp)
        popfq
        ret
)");

constexpr std::size_t kMaxTraps = 64;
volatile std::size_t traps = 0;
std::array<Address, kMaxTraps> trap_pcs;

void note_trap(int, siginfo_t*, void* context) {
  if (const std::size_t n = traps; n < kMaxTraps) {
    trap_pcs[n] = interrupted_pc(context);
    traps = n + 1;
  }
}

std::vector<Address> traps_seen() {
  std::vector<Address> seen(trap_pcs.begin(), trap_pcs.begin() + static_cast<std::ptrdiff_t>(traps));
  traps = 0;
  return seen;
}

std::string offsets(const std::vector<Address>& pcs, Address from) {
  std::string text;
  for (const Address pc : pcs)
    text += fmt::format("{}{:+#x}", text.empty() ? "" : " ", pc - from);
  return text;
}

Verdict any_flags(const Json& parameters, Arena&) {
  on_signal(SIGTRAP, &note_trap); // the program's own, before the prober comes
  auto code = ProbedCode::open(parameters.at("strategy"), {kFlags, kStepsItself});
  if (!code)
    return verdict_of(code.error());
  auto* const steps = (*code)->function<Increment>(1);
  steps(1);
  const std::vector<Address> unprobed = traps_seen();
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  struct Flag {
    const char* name;
    std::uint64_t bit;
  };
  constexpr std::uint64_t kAlways = 0x202; // IF, and the bit that is always 1
  // Hits must work with NT set; that it stays set is too much to ask: Linux 6.18 drops it at any exception, a
  // page fault too (seen here).
  constexpr std::uint64_t kDropped = 1U << 14;
  constexpr Flag kFlagBits[] = {{"CF", 1U << 0},  {"PF", 1U << 2},  {"AF", 1U << 4},  {"ZF", 1U << 6},
                                {"SF", 1U << 7},  {"DF", 1U << 10}, {"OF", 1U << 11}, {"NT", 1U << 14},
                                {"AC", 1U << 18}, {"ID", 1U << 21}};
  constexpr int kTimes = 10;
  auto* const with_flags = (*code)->function<std::uint64_t(std::uint64_t, std::uint64_t)>();
  for (const Flag& flag : kFlagBits)
    for (int i = 0; i < kTimes; ++i)
      if (const std::uint64_t after = with_flags(1, kAlways | flag.bit);
          (after ^ (kAlways | flag.bit)) & ~kDropped)
        return broken("flags", fmt::format("{} set: flags were {:#x} and are {:#x} behind two hits",
                                           flag.name, kAlways | flag.bit, after));
  constexpr std::uint64_t kHits = kTimes * std::size(kFlagBits);
  if ((*code)->hits(0) != kHits || (*code)->hits(1) != kHits)
    return broken("wrong-count",
                  fmt::format("{} and {} hits of {}", (*code)->hits(0), (*code)->hits(1), kHits));
  (void)traps_seen();
  if (steps(1) != 2)
    return broken("wrong-result", "stepping itself through probed instructions, the program went wrong");
  const std::vector<Address> probed = traps_seen();
  auto at = probed.begin(); // none swallowed: what was seen unprobed is seen, in order
  for (const Address pc : unprobed) {
    at = std::find(at, probed.end(), pc);
    if (at == probed.end())
      return broken("own-step",
                    fmt::format("the program's own debug trap at {:+#x} was swallowed: {} unprobed, {} "
                                "probed",
                                pc - (*code)->entry(1), offsets(unprobed, (*code)->entry(1)),
                                offsets(probed, (*code)->entry(1))));
  }
  return (*code)->hits(2) == 1 && (*code)->hits(3) == 1
             ? held()
             : broken("wrong-count", "a hit of a program that steps itself was not counted once");
}

// ---- own-traps-delivered (H31, H70)

#define PROBERACE_OWN_TRAPS                                                                                  \
  "SITE\n {disp32} leaq 0(%rdi), %rax\n int3\n"                                                              \
  "SITE\n {disp32} leaq 1(%rax), %rax\n .byte 0xcd, 0x03\n"                                                  \
  "SITE\n {disp32} leaq 1(%rax), %rax\n"
PROBERACE_SNIPPET(OwnTraps, PROBERACE_OWN_TRAPS "ret");
PROBERACE_SNIPPET(OwnTrapsAndInt1, PROBERACE_OWN_TRAPS ".byte 0xf1\n ret");
#undef PROBERACE_OWN_TRAPS

// int1's trap is reported behind it (SDM vol. 3A, 6.3.3); under some hypervisors at it, so that a thread that
// returns executes it again without end, probed or not.
extern "C" void proberace_int1();
asm(".pushsection .text\n"
    "proberace_int1:\n"
    "        .byte   0xf1\n"
    "        ret\n"
    ".popsection\n");
volatile bool int1_stayed = false;

void step_over_int1(int, siginfo_t*, void* context) {
  if (interrupted_pc(context) != address_of(reinterpret_cast<const void*>(&proberace_int1)))
    return;
  int1_stayed = true;
  ++static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
}

bool int1_can_be_returned_from() {
  on_signal(SIGTRAP, &step_over_int1);
  proberace_int1();
  return !int1_stayed;
}

Verdict own_traps_delivered(const Json& parameters, Arena&) {
  const bool with_int1 = int1_can_be_returned_from();
  on_signal(SIGTRAP, &note_trap); // the program's own, before the prober comes
  auto code = ProbedCode::open(parameters.at("strategy"), {with_int1 ? kOwnTrapsAndInt1 : kOwnTraps});
  if (!code)
    return verdict_of(code.error());
  auto* const run = (*code)->function<Increment>();
  run(1);
  const std::vector<Address> unprobed = traps_seen();
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  constexpr std::uint64_t kTimes = 20;
  for (std::uint64_t i = 1; i <= kTimes; ++i) {
    if (run(1) != 3)
      return broken("wrong-result", "wrong result beside the program's own traps");
    if (const std::vector<Address> probed = traps_seen(); probed != unprobed)
      return broken("own-trap",
                    fmt::format("own traps at {} unprobed, at {} probed", offsets(unprobed, (*code)->entry()),
                                offsets(probed, (*code)->entry())));
    for (std::size_t site = 0; site < 3; ++site)
      if ((*code)->hits(site) != i)
        return broken("wrong-count", fmt::format("site {}: {} hits of {}", site, (*code)->hits(site), i));
  }
  const std::size_t own = with_int1 ? 3 : 2;
  return unprobed.size() == own
             ? held(with_int1 ? "held" : "held, without int1: this machine reports its trap at it")
             : broken("setup", fmt::format("{} traps were expected unprobed", own));
}

const bool flags_promises_registered =
    register_experiment("promise/any-flags", &any_flags) &&
    register_experiment("promise/own-traps-delivered", &own_traps_delivered);

} // namespace

} // namespace proberace
