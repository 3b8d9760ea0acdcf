// Does a uprobe in a restartable sequence lose updates? Four threads add one to a word of the CPU they run on;
// an interrupted sequence must start again. Prints the sum without and with a uprobe between load and store.
//
//   g++ -O1 -pthread -o /tmp/uprobe-rseq results/findings/uprobe-rseq.cpp && sudo /tmp/uprobe-rseq
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <linux/perf_event.h>
#include <linux/rseq.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

// rdi the thread's struct rseq, rsi one word of 64 bytes for each CPU: 1 if it was added, 0 if aborted.
asm(R"(
        .pushsection .data.rel.ro, "aw"
        .balign 32
sequence:
        .long   0, 0
        .quad   1f, 2f - 1f, 3f
        .popsection
        .text
        .globl  add_one, probed
add_one:
        leaq    sequence(%rip), %rax
        movq    %rax, 8(%rdi)
1:      movl    4(%rdi), %ecx
        shlq    $6, %rcx
        movq    (%rsi,%rcx), %rax
probed: leaq    1(%rax), %rax
        movq    %rax, (%rsi,%rcx)
2:      movq    $0, 8(%rdi)
        movl    $1, %eax
        ret
        .byte   0x0f, 0xb9, 0x3d
        .long   0x53053053
3:      movq    $0, 8(%rdi)
        xorl    %eax, %eax
        ret
)");
extern "C" std::uint64_t add_one(struct rseq* own, void* words);
extern "C" const char probed[];

namespace {

constexpr std::uint64_t kThreads = 4, kEach = 20'000;

struct alignas(64) Word {
  std::uint64_t value = 0;
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(3);
}

std::uint64_t sum() {
  std::vector<Word> words(static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_CONF)));
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      char* const thread = static_cast<char*>(__builtin_thread_pointer());
      for (std::uint64_t i = 0; i < kEach; ++i)
        while (add_one(reinterpret_cast<struct rseq*>(thread + __rseq_offset), words.data()) == 0)
          continue;
    });
  for (std::thread& thread : threads)
    thread.join();
  std::uint64_t all = 0;
  for (const Word& word : words)
    all += word.value;
  return all;
}

void open_uprobe() {
  int type = 0;
  std::FILE* const file = std::fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  if (file == nullptr || std::fscanf(file, "%d", &type) != 1)
    fail("no uprobes here");
  const auto address = reinterpret_cast<std::uintptr_t>(probed);
  perf_event_attr attributes{};
  attributes.type = static_cast<std::uint32_t>(type);
  attributes.size = sizeof attributes;
  attributes.config1 = reinterpret_cast<std::uint64_t>("/proc/self/exe");
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  for (char line[512]; std::fgets(line, sizeof line, maps) != nullptr;) {
    unsigned long from = 0, to = 0, offset = 0;
    if (std::sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && from <= address && address < to)
      attributes.config2 = address - from + offset;
  }
  if (syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0UL) < 0)
    fail("perf_event_open");
}

} // namespace

int main() {
  std::printf("without a uprobe: %lu of %lu\n", sum(), kThreads * kEach);
  open_uprobe();
  const std::uint64_t with = sum();
  std::printf("with one:         %lu of %lu\n", with, kThreads * kEach);
  return with == kThreads * kEach ? 0 : 1;
}
