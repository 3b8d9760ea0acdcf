// Instructions that are awkward to execute anywhere but at home (H43 to H47, H50, H57, H61): a strategy
// either refuses one in words, or runs it, on two threads, as the bare processor does.
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <asm/prctl.h>
#include <atomic>
#include <fmt/format.h>
#include <map>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

// All are `std::uint64_t(std::uint64_t* memory)` on 32 words of memory.
using Function = std::uint64_t(std::uint64_t*);
using Memory = std::array<std::uint64_t, 32>;

PROBERACE_SNIPPET(RepMovsb, R"(
        movq    %rdi, %rsi
        addq    $101, %rdi
        movl    $77, %ecx
        SITE
        rep movsb
        leaq    (%rcx,%rsi), %rax
        subq    %rdi, %rax
        ret
)");
PROBERACE_SNIPPET(RepStosqDown, R"(
        addq    $200, %rdi
        movl    $9, %ecx
        movq    %rdi, %rax
        movl    $0x5a5a, %eax
        std
        SITE
        rep stosq
        cld
        movq    %rcx, %rax
        ret
)");
PROBERACE_SNIPPET(RepneScasb, R"(
        movl    $0, %eax
        movl    $256, %ecx
        SITE
        repne scasb
        movq    %rcx, %rax
        ret
)");
PROBERACE_SNIPPET(RepeCmpsbOfNone, R"(
        movq    %rdi, %rsi
        xorl    %ecx, %ecx
        stc
        SITE
        repe cmpsb
        setc    %al
        movzbl  %al, %eax
        ret
)");
PROBERACE_SNIPPET(Pushfq, R"(
        stc
        SITE
        pushfq
        popq    %rax
        andl    $0x101, %eax
        ret
)");
PROBERACE_SNIPPET(Popfq, R"(
        pushfq
        orl     $1, (%rsp)
        SITE
        popfq
        setc    %al
        movzbl  %al, %eax
        ret
)");
PROBERACE_SNIPPET(MovToSs, R"(
        movl    %ss, %eax
        movl    $5, %edx
        SITE
        movl    %eax, %ss
        movl    %edx, %eax
        ret
)");
PROBERACE_SNIPPET(Syscall, R"(
        movl    $110, %eax
        SITE
        syscall
        leaq    1f(%rip), %rdx
1:      subq    %rcx, %rdx
        andl    $0x100, %r11d
        addq    %rdx, %rax
        addq    %r11, %rax
        ret
)");
// poll(NULL, 0, 1): others pass through the slot meanwhile.
PROBERACE_SNIPPET(Sleep, R"(
        xorl    %edi, %edi
        xorl    %esi, %esi
        movl    $1, %edx
        movl    $7, %eax
        SITE
        syscall
        ret
)");
PROBERACE_SNIPPET(FsLoad, R"(
        SITE
        movq    %fs:0, %rax
        ret
)");
PROBERACE_SNIPPET(FsAdd, R"(
        movq    (%rdi), %rax
        xorl    %ecx, %ecx
        SITE
        addq    %fs:(%rcx), %rax
        ret
)");
// The thread's gs base is its memory.
PROBERACE_SNIPPET(GsLoad, R"(
        movl    $8, %ecx
        SITE
        movq    %gs:0(,%rcx,1), %rax
        ret
)");
PROBERACE_SNIPPET(Mulx, R"(
        movl    $7, %edx
        SITE
        mulxq   1f(%rip), %rcx, %rax
        addq    %rdx, %rax
        addq    %rcx, %rax
        ret
        .p2align 3
1:      .quad   0x9234567890abcdef
)");
PROBERACE_SNIPPET(Div, R"(
        movl    $3, %edx
        movq    (%rdi), %rax
        SITE
        divq    1f(%rip)
        leaq    (%rax,%rdx,2), %rax
        ret
        .p2align 3
1:      .quad   0x9234567890abcdef
)");
// rcx and rdx are used, rax is compared: no scratch may be any of them.
PROBERACE_SNIPPET(CmpRip, R"(
        movl    $1, %eax
        movl    $2, %ecx
        movl    $3, %edx
        SITE
        cmpq    $0x12345678, 1f(%rip)
        setz    %sil
        movzbl  %sil, %esi
        leaq    (%rax,%rcx,2), %rax
        leaq    (%rax,%rdx,4), %rax
        addq    %rsi, %rax
        ret
        .p2align 3
1:      .quad   0x12345678
)");

const std::map<std::string, Snippet>& snippets() {
  static const std::map<std::string, Snippet> kAll{
      {"rep movsb", kRepMovsb},
      {"rep stosq down", kRepStosqDown},
      {"repne scasb", kRepneScasb},
      {"repe cmpsb of none", kRepeCmpsbOfNone},
      {"pushfq", kPushfq},
      {"popfq", kPopfq},
      {"mov to ss", kMovToSs},
      {"syscall", kSyscall},
      {"sleep", kSleep},
      {"mov fs", kFsLoad},
      {"add fs", kFsAdd},
      {"mov gs", kGsLoad},
      {"mulx rip", kMulx},
      {"div rip", kDiv},
      {"cmp rip", kCmpRip},
  };
  return kAll;
}

Memory fresh_memory() {
  Memory memory{};
  for (std::size_t i = 0; i < memory.size() - 1; ++i)
    memory[i] = 0x0101'0101'0101'0101 * (i + 1); // the only zero byte is at the end
  return memory;
}

struct End {
  std::uint64_t result;
  Memory memory;
  friend bool operator==(const End&, const End&) = default;
};

End run_once(Function* run) {
  thread_local Memory memory; // one address, which gs has too
  ::syscall(SYS_arch_prctl, ARCH_SET_GS, memory.data());
  memory = fresh_memory();
  const std::uint64_t result = run(memory.data());
  return {result, memory};
}

Verdict awkward(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 100, kThreads = 2;
  const std::string name = parameters.at("code");
  if (name == "mulx rip" && !__builtin_cpu_supports("bmi2"))
    return verdict_of(Error{ErrorKind::MachineLacks, {}, "this processor has no mulx"});
  auto code = ProbedCode::open(parameters.at("strategy"), {snippets().at(name)});
  if (!code)
    return verdict_of(code.error());
  std::atomic<bool> refused{false}, differs{false};
  std::atomic<std::uint64_t> unprobed{0};
  std::atomic<bool> armed{false};
  std::string why;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        const End bare = run_once((*code)->function<Function>());
        unprobed.fetch_add(1);
        armed.wait(false);
        for (std::uint64_t i = 0; i < kTimes; ++i)
          if (run_once((*code)->function<Function>()) != bare)
            differs = true;
      });
    while (unprobed.load() != kThreads)
      std::this_thread::yield();
    if (const Status inserted = (*code)->insert_all(); !inserted) {
      refused = true;
      why = describe(inserted.error());
    }
    armed = true;
    armed.notify_all();
  }
  const std::uint64_t hits = refused ? 0 : (*code)->hits(0);
  Verdict v = held(refused ? why : "run");
  v.data = Json{{"refused", refused.load()}, {"hits", hits}, {"paths", Json::object()}};
  for (std::size_t p = 0; p < kPathCount; ++p)
    v.data["paths"][std::string(proberace::name(static_cast<Path>(p)))] =
        (*code)->prober().paths()[static_cast<Path>(p)];
  if (differs)
    return broken("transparent", fmt::format("{} does something else with a probe", name));
  if (!refused && hits != kTimes * kThreads)
    return broken("wrong-count", fmt::format("{}: {} executions, {} hits", name, kTimes * kThreads, hits));
  return v;
}

const bool awkward_instructions_test_registered = register_experiment("test/awkward", &awkward);

class Awkward : public testing::TestWithParam<std::string> {};

// Errors of the kernel's uprobes are findings, not failures (results/findings/uprobe-instructions.md).
std::vector<std::string> probers_under_test() {
  std::vector<std::string> names = strategies_promising({Promise::ExactCounts});
  std::erase_if(names, is_reference_peer);
  return names;
}

CellSpec awkward_cell(const std::string& strategy, const char* code) {
  CellSpec spec = test_cell("awkward", strategy);
  spec.parameters["code"] = code;
  return spec;
}

// False for code with an instruction that has no emulation.
bool is_emulated(std::string_view code) {
  return !code.starts_with("rep") && code != "mulx rip";
}

void expect_run(const std::string& strategy, std::initializer_list<const char*> codes) {
  const bool reaches = (*make_prober(strategy))->promises().has(Promise::RipRelative);
  const Facts facts = facts_of(strategy);
  for (const char* const code : codes) {
    const CellSpec spec = awkward_cell(strategy, code);
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
    if (!v.data.value("refused", false)) {
      expect_paths(strategy, v);
      continue;
    }
    // One that emulates has no emulation; a jump has no room.
    const bool may_refuse = facts.paths.only({Path::Emulated}) ? !is_emulated(code) : facts.selective;
    const bool out_of_reach = !reaches && std::string_view(code).ends_with(" rip");
    EXPECT_TRUE(may_refuse || out_of_reach) << code << ": " << v.summary;
  }
}

// For this reason, not for another.
void expect_refusal(const std::string& strategy, std::initializer_list<const char*> codes, const char* why) {
  const bool takes_stack = (*make_prober(strategy))->promises().has(Promise::StackOperands);
  for (const char* const code : codes) {
    const CellSpec spec = awkward_cell(strategy, code);
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
    EXPECT_TRUE(v.data.value("refused", false)) << code << ": " << v.summary;
    EXPECT_TRUE(v.summary.contains(why) || (!takes_stack && v.summary.contains("stack pointer")))
        << code << ": " << v.summary;
  }
}

} // namespace

// Fails with the step taken for done after the first iteration, or each iteration counted.
TEST_P(Awkward, H43_ARepeatedStringInstructionIsOneHit) {
  expect_run(GetParam(), {"rep movsb", "rep stosq down", "repne scasb", "repe cmpsb of none"});
}

// The pushed image would hold the trap flag, and a popped one would end the step.
TEST_P(Awkward, H44_H45_FlagsThatTheProgramPushesAndPopsAreItsOwn) {
  expect_refusal(GetParam(), {"pushfq", "popfq"}, "trap flag");
}

// The debug trap behind it comes an instruction late.
TEST_P(Awkward, H46_ALoadOfTheStackSegmentIsRefused) {
  expect_refusal(GetParam(), {"mov to ss"}, "postpones the debug trap");
}

// The kernel would see the slot's address and the trap flag, and one that sleeps would come back to a slot
// that may have been given away.
TEST_P(Awkward, H47_H61_WhatEntersTheKernelIsRefused) {
  expect_refusal(GetParam(), {"syscall", "sleep"}, "enters the kernel");
}

TEST_P(Awkward, H50_SegmentBasesAreThoseOfTheThreadThatHits) {
  expect_run(GetParam(), {"mov fs", "add fs", "mov gs"});
}

TEST_P(Awkward, H57_NoRegisterThatTheInstructionUsesIsBorrowed) {
  expect_run(GetParam(), {"mulx rip", "div rip", "cmp rip"});
}

INSTANTIATE_TEST_SUITE_P(Strategies, Awkward, testing::ValuesIn(probers_under_test()), test_name);

} // namespace proberace
