// The steppers that emulate, through a real transport and on real threads: atomicity (H49), faults (H32), the
// program's own single steps (H31), branches to themselves (H55), and which path a hit took.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>

namespace proberace {

namespace {

// ---- H49

struct alignas(64) Counter {
  std::uint64_t value = 0;
  std::uint64_t guarded = 0; // by `value` as a lock
};

using AddOne = std::uint64_t(Counter*); // 1 if it did; one try only, so that nobody starves

struct AtomicCode {
  std::string name;
  std::vector<std::uint8_t> code;
  std::ptrdiff_t site;
};

const std::vector<AtomicCode>& atomic_codes() {
  static const std::vector<AtomicCode> kCodes{
      // mov $1,%esi; lock xadd %rsi,(%rdi); mov $1,%eax; ret
      {"xadd", {0xbe, 1, 0, 0, 0, 0xf0, 0x48, 0x0f, 0xc1, 0x37, 0xb8, 1, 0, 0, 0, 0xc3}, 5},
      // lock incq (%rdi); mov $1,%eax; ret
      {"inc", {0xf0, 0x48, 0xff, 0x07, 0xb8, 1, 0, 0, 0, 0xc3}, 0},
      // lock addq $1,(%rdi); mov $1,%eax; ret
      {"add", {0xf0, 0x48, 0x83, 0x07, 0x01, 0xb8, 1, 0, 0, 0, 0xc3}, 0},
      // mov (%rdi),%rax; lea 1(%rax),%rdx; lock cmpxchg %rdx,(%rdi); setz %al; movzx %al,%eax; ret
      {"cmpxchg",
       {0x48, 0x8b, 0x07, 0x48, 0x8d, 0x50, 0x01, 0xf0, 0x48, 0x0f, 0xb1, 0x17, 0x0f, 0x94, 0xc0, 0x0f, 0xb6,
        0xc0, 0xc3},
       7},
      // mov $1,%eax; xchg %rax,(%rdi); test %eax,%eax; jne 1f; incq 8(%rdi); movq $0,(%rdi); mov $1,%eax; ret
      // 1: xor %eax,%eax; ret
      {"xchg",
       {0xb8, 1,    0,    0, 0, 0x48, 0x87, 0x07, 0x85, 0xc0, 0x75, 0x11, 0x48, 0xff, 0x47, 0x08,
        0x48, 0xc7, 0x07, 0, 0, 0,    0,    0xb8, 1,    0,    0,    0,    0xc3, 0x31, 0xc0, 0xc3},
       5},
  };
  return kCodes;
}

// Twice: two threads that hit; and one that hits against one that runs the same code unprobed, some hundred
// times as often, so that a load, a sum and a store in its place lose some. (A mere missing lock prefix is
// not observable: planner_test.cpp reads the thunks.)
Verdict atomic_sums(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 5'000;
  const AtomicCode& wanted = atomic_codes().at(parameters.at("code"));
  auto code = ProbedCode::open_bytes(parameters.at("strategy"), wanted.code, {wanted.site});
  auto unprobed = Text::of_bytes(wanted.code);
  if (!code || !unprobed)
    return verdict_of(code ? unprobed.error() : code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  Counter counter;
  std::atomic<std::uint64_t> added{0};
  const auto hit = [&](const std::stop_token&) {
    std::uint64_t mine = 0;
    for (std::uint64_t i = 0; i < kTimes; ++i)
      mine += (*code)->function<AddOne>()(&counter);
    added.fetch_add(mine, std::memory_order_relaxed); // read after the join
  };
  const auto run_unprobed = [&](const std::stop_token& stop) {
    auto* const add_one = reinterpret_cast<AddOne*>(bytes_at(unprobed->start()));
    std::uint64_t mine = 0;
    while (!stop.stop_requested())
      mine += add_one(&counter);
    added.fetch_add(mine, std::memory_order_relaxed); // read after the join
  };
  {
    const std::jthread other(hit);
    hit({});
  }
  {
    const std::jthread other(run_unprobed);
    hit({});
  }
  const std::uint64_t sum = wanted.name == "xchg" ? counter.guarded : counter.value;
  if (sum != added.load(std::memory_order_relaxed)) // after the join
    return broken("atomicity", fmt::format("{}: {} additions on two threads sum up to {}", wanted.name,
                                           added.load(std::memory_order_relaxed), sum));
  const std::uint64_t hits = (*code)->hits(0);
  if (hits != 3 * kTimes || (*code)->prober().paths()[Path::Emulated] != hits)
    return broken("path", fmt::format("{}: {} hits, {} emulated", wanted.name, hits,
                                      (*code)->prober().paths()[Path::Emulated]));
  return held();
}

// ---- H32

struct FaultCode {
  std::string name;
  std::vector<std::uint8_t> code; // uint64(memory*, operand)
  std::ptrdiff_t site;
  int protection;       // of the page at first
  int signal, si_code;  // expected
  std::uint64_t result; // with operand 5 and 7 in memory
  std::uint64_t memory; // afterwards
};

const std::vector<FaultCode>& fault_codes() {
  static const std::vector<FaultCode> kCodes{
      // mov (%rdi),%rax; ret
      {"load", {0x48, 0x8b, 0x07, 0xc3}, 0, PROT_NONE, SIGSEGV, SEGV_ACCERR, 7, 7},
      // mov %rsi,%rax; mov %rsi,(%rdi); ret
      {"store", {0x48, 0x89, 0xf0, 0x48, 0x89, 0x37, 0xc3}, 3, PROT_READ, SIGSEGV, SEGV_ACCERR, 5, 5},
      // stc; adc %rsi,(%rdi); mov (%rdi),%rax; ret
      {"modify",
       {0xf9, 0x48, 0x11, 0x37, 0x48, 0x8b, 0x07, 0xc3},
       1,
       PROT_READ,
       SIGSEGV,
       SEGV_ACCERR,
       13,
       13},
      // mov %rsi,%rax; lock xadd %rax,(%rdi); ret
      {"atomic",
       {0x48, 0x89, 0xf0, 0xf0, 0x48, 0x0f, 0xc1, 0x07, 0xc3},
       3,
       PROT_READ,
       SIGSEGV,
       SEGV_ACCERR,
       7,
       12},
      // push (%rdi); pop %rax; ret
      {"push", {0xff, 0x37, 0x58, 0xc3}, 0, PROT_NONE, SIGSEGV, SEGV_ACCERR, 7, 7},
      // push %rsi; pop (%rdi); mov (%rdi),%rax; ret
      {"pop", {0x56, 0x8f, 0x07, 0x48, 0x8b, 0x07, 0xc3}, 1, PROT_READ, SIGSEGV, SEGV_ACCERR, 5, 5},
  };
  return kCodes;
}

struct Seen {
  int times = 0, signal = 0, si_code = 0;
  std::uintptr_t pc = 0, address = 0;
  std::array<greg_t, NGREG> registers{};
};

Seen seen;
void* faulting_page = nullptr;

void mend(int signo, siginfo_t* info, void* raw) {
  const auto& registers = static_cast<ucontext_t*>(raw)->uc_mcontext.gregs;
  ++seen.times;
  seen.signal = signo;
  seen.si_code = info->si_code;
  seen.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  seen.pc = static_cast<std::uintptr_t>(registers[REG_RIP]);
  std::copy_n(registers, NGREG, seen.registers.begin());
  ::mprotect(faulting_page, kPageBytes, PROT_READ | PROT_WRITE);
}

Verdict fault_mended(const Json& parameters, Arena&) {
  const FaultCode& wanted = fault_codes().at(parameters.at("code"));
  auto code = ProbedCode::open_bytes(parameters.at("strategy"), wanted.code, {wanted.site});
  if (!code)
    return verdict_of(code.error());
  struct sigaction action {};
  action.sa_sigaction = &mend;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
  faulting_page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* const memory = static_cast<std::uint64_t*>(faulting_page) + 3;
  auto* const run = (*code)->function<std::uint64_t(std::uint64_t*, std::uint64_t)>();

  // Unprobed first: what the program sees without us is what it must see with us.
  std::array<Seen, 2> runs;
  for (const bool probed : {false, true}) {
    if (probed)
      if (const Status inserted = (*code)->insert_all(); !inserted)
        return verdict_of(inserted.error());
    *memory = 7;
    ::mprotect(faulting_page, kPageBytes, wanted.protection);
    seen = Seen{};
    std::uint64_t result = 0;
    // The values that are compared are the same in both runs.
    asm volatile("xorl %%r8d, %%r8d\n\t"
                 "xorl %%r9d, %%r9d\n\t"
                 "xorl %%r10d, %%r10d\n\t"
                 "xorl %%r11d, %%r11d\n\t"
                 "call *%[run]"
                 : "=a"(result)
                 : [run] "r"(run), "D"(memory), "S"(5), "a"(11), "c"(12), "d"(13)
                 : "memory", "cc", "r8", "r9", "r10", "r11");
    if (seen.times != 1 || seen.signal != wanted.signal || seen.si_code != wanted.si_code ||
        seen.pc != value((*code)->site(0).address) ||
        seen.address != reinterpret_cast<std::uintptr_t>(memory))
      return broken("fault", fmt::format("{}, probed {}: {} faults, signal {} code {} at pc {:#x} for {:#x}",
                                         wanted.name, probed, seen.times, seen.signal, seen.si_code, seen.pc,
                                         seen.address));
    if (result != wanted.result || *memory != wanted.memory)
      return broken("restart", fmt::format("{}, probed {}: {} and {} in memory after the page was mended",
                                           wanted.name, probed, result, *memory));
    runs[probed ? 1 : 0] = seen;
  }
  for (const int r : {REG_RAX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11,
                      REG_RIP, REG_EFL}) {
    // RF is set in the image a fault pushes (SDM vol. 3A, 17.3.1.1), for the instruction to restart.
    const greg_t mask = r == REG_EFL ? ~greg_t{0x10000} : ~greg_t{0};
    const greg_t unprobed = runs[0].registers[static_cast<std::size_t>(r)] & mask;
    const greg_t probed = runs[1].registers[static_cast<std::size_t>(r)] & mask;
    if (unprobed != probed)
      return broken("registers",
                    fmt::format("{}: register {} of the signal's context is {:#x}, unprobed {:#x}",
                                wanted.name, r, probed, unprobed));
  }
  if ((*code)->hits(0) != 2 || (*code)->prober().paths()[Path::Emulated] != 2)
    return broken("path",
                  fmt::format("{}: {} hits, {} emulated: one that faults and one that completes", wanted.name,
                              (*code)->hits(0), (*code)->prober().paths()[Path::Emulated]));
  return held();
}

// ---- H31: a program that single-steps itself

constexpr std::size_t kMostSteps = 16;
std::uintptr_t steps[kMostSteps];
std::size_t steps_taken = 0;
std::uintptr_t steps_from = 0;

void note_step(int, siginfo_t* info, void* raw) {
  const auto pc = static_cast<std::uintptr_t>(static_cast<ucontext_t*>(raw)->uc_mcontext.gregs[REG_RIP]);
  if (info->si_code == TRAP_TRACE && pc - steps_from < kPageBytes && steps_taken < kMostSteps)
    steps[steps_taken++] = pc - steps_from;
}

// Runs `code` with TF set and returns the offsets its debug traps saw.
std::vector<std::uintptr_t> stepped_by_itself(void (*code)()) {
  steps_taken = 0;
  steps_from = reinterpret_cast<std::uintptr_t>(code);
  asm volatile("pushfq\n\t"
               "orq $0x100, (%%rsp)\n\t"
               "popfq\n\t"
               "call *%0\n\t"
               "pushfq\n\t"
               "andq $~0x100, (%%rsp)\n\t"
               "popfq"
               :
               : "r"(code)
               : "memory", "cc", "rax", "rcx");
  return {steps, steps + steps_taken};
}

Verdict steps_itself(const Json& parameters, Arena&) {
  // nop; xor %eax,%eax; jz 1f; nop; 1: add $1,%eax; push %rax; pop %rcx; ret
  constexpr std::uint8_t kCode[] = {0x90, 0x31, 0xc0, 0x74, 0x01, 0x90, 0x83, 0xc0, 0x01, 0x50, 0x59, 0xc3};
  struct sigaction action {};
  action.sa_sigaction = &note_step;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGTRAP, &action, nullptr); // before the prober takes it over
  auto code = ProbedCode::open_bytes(parameters.at("strategy"), kCode, {1, 3, 6, 9});
  if (!code)
    return verdict_of(code.error());
  auto* const run = (*code)->function<void()>();
  const auto unprobed = stepped_by_itself(run);
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  const auto probed = stepped_by_itself(run);
  if (unprobed.size() != 7 || probed != unprobed)
    return broken("own-steps", fmt::format("{} steps unprobed, {} probed", unprobed.size(), probed.size()));
  for (std::size_t i = 0; i < 4; ++i)
    if ((*code)->hits(i) != 1)
      return broken("wrong-count", fmt::format("site {}: {} hits", i, (*code)->hits(i)));
  return held();
}

// ---- H55

Verdict branch_to_itself(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTurns = 50;
  constexpr std::uint8_t kCode[] = {0x48, 0x89, 0xf9, 0xe2, 0xfe, 0xc3}; // mov %rdi,%rcx; loop .; ret
  auto code = ProbedCode::open_bytes(parameters.at("strategy"), kCode, {3});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  (*code)->function<void(std::uint64_t)>()(kTurns);
  if ((*code)->hits(0) != kTurns)
    return broken("wrong-count", fmt::format("{} turns, {} hits", kTurns, (*code)->hits(0)));
  return held();
}

// ---- both paths

Verdict both_paths(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 300;
  const Placement placements[] = {{body_named("mov"), 0}, {body_named("rep-stos"), 0}};
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  if (const Status inserted = (*probed)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  for (std::uint64_t i = 0; i < kTimes; ++i)
    if (!(*probed)->execute(0) || !(*probed)->execute(1))
      return broken("wrong-result", "a body's result was wrong");
  const PathCounts paths = (*probed)->prober().paths();
  if (paths[Path::Emulated] != kTimes || paths[Path::SlotStep] != kTimes)
    return broken("path", fmt::format("{} emulated and {} stepped of {} each", paths[Path::Emulated],
                                      paths[Path::SlotStep], kTimes));
  return held();
}

const bool emulation_test_registered =
    register_experiment("test/emulation-atomic", &atomic_sums) &&
    register_experiment("test/emulation-fault", &fault_mended) &&
    register_experiment("test/emulation-own-steps", &steps_itself) &&
    register_experiment("test/emulation-branch-to-itself", &branch_to_itself) &&
    register_experiment("test/emulation-both-paths", &both_paths);

// Those that emulate in the process itself.
std::vector<std::string> emulating_strategies() {
  auto names = strategies_promising({});
  std::erase_if(names, [](const std::string& n) {
    const Facts facts = facts_of(n);
    return !facts.paths.has(Path::Emulated) || facts.traps != Traps::EveryHit ||
           facts.handled_by != HandledBy::Thread;
  });
  return names;
}

class Emulating : public testing::TestWithParam<std::string> {
protected:
  void expect_held(const std::string& experiment, Json more = Json::object()) {
    CellSpec spec;
    spec.experiment = "test/emulation-" + experiment;
    spec.parameters = std::move(more);
    spec.parameters["strategy"] = GetParam();
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
  }
};

} // namespace

// Fails if a locked form is not one locked instruction on the target's own memory.
TEST_P(Emulating, H49_AtomicFormsStayAtomicBetweenThreads) {
  for (std::size_t i = 0; i < atomic_codes().size(); ++i)
    expect_held("atomic", Json{{"code", i}});
}

// The handler sees the site's PC and the registers as they were, mends the page and returns: the instruction
// runs then. Fails if anything of it was done before its fault.
TEST_P(Emulating, H32_AFaultIsReportedAtTheSiteAndTheInstructionRestarts) {
  for (std::size_t i = 0; i < fault_codes().size(); ++i)
    expect_held("fault", Json{{"code", i}});
}

TEST_P(Emulating, H55_ABranchToItselfCountsEveryTurn) {
  expect_held("branch-to-itself");
}

// Every debug trap of the program's own comes, where it came unprobed.
TEST_P(Emulating, H31_AProgramMayStepItselfThroughEmulatedInstructions) {
  expect_held("own-steps");
}

INSTANTIATE_TEST_SUITE_P(Strategies, Emulating, testing::ValuesIn(emulating_strategies()), test_name);

TEST(EmulateOrStep, EmulatesWhatItCanAndStepsTheRest) {
  CellSpec spec;
  spec.experiment = "test/emulation-both-paths";
  spec.parameters = Json{{"strategy", "poke+emulate|xol-vma"}};
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

} // namespace proberace
