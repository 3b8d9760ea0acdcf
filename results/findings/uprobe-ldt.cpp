// Does an int3 of the program's own, in a code segment with a base, reach its handler? Tried in a child, without
// and with a uprobe elsewhere in the program: the kernel looks for uprobes only in processes that have one.
//
//   g++ -O1 -o /tmp/uprobe-ldt results/findings/uprobe-ldt.cpp && sudo /tmp/uprobe-ldt
#include <asm/ldt.h>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

namespace {

volatile int traps = 0;
greg_t back_ip, back_segments, back_stack;
char other_stack[64 * 1024];

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(3);
}

void on_trap(int, siginfo_t*, void* context) {
  traps = traps + 1;
  auto* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_RIP] = back_ip;
  registers[REG_CSGSFS] = back_segments;
  registers[REG_RSP] = back_stack;
}

// Continues at offset 0 of the local descriptor table's first segment.
void enter_segment(int, siginfo_t*, void* context) {
  auto* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  back_ip = registers[REG_RIP];
  back_segments = registers[REG_CSGSFS];
  back_stack = registers[REG_RSP];
  registers[REG_RIP] = 0;
  registers[REG_CSGSFS] = (back_segments & ~greg_t{0xffff}) | 7;
}

void handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(signal, &action, nullptr);
}

extern "C" [[gnu::noinline]] int probed(int x) {
  asm volatile("");
  return x + 1;
}

void open_uprobe() {
  int type = 0;
  std::FILE* const file = std::fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  if (file == nullptr || std::fscanf(file, "%d", &type) != 1)
    fail("no uprobes here");
  const auto address = reinterpret_cast<std::uintptr_t>(&probed);
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

[[noreturn]] void child(bool with_uprobe) {
  if (with_uprobe)
    open_uprobe();
  probed(1);
  void* const code =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  std::memset(code, 0xcc, 16);
  user_desc segment{};
  segment.base_addr = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(code));
  segment.limit = 4095;
  segment.seg_32bit = 1;
  segment.contents = MODIFY_LDT_CONTENTS_CODE;
  if (syscall(SYS_modify_ldt, 1, &segment, sizeof segment) != 0)
    fail("modify_ldt");
  const stack_t stack{other_stack, 0, sizeof other_stack};
  sigaltstack(&stack, nullptr);
  handle(SIGTRAP, on_trap);
  handle(SIGUSR1, enter_segment);
  raise(SIGUSR1);
  _exit(traps == 1 ? 0 : 1);
}

// True if the trap reached the handler.
bool reaches_handler(bool with_uprobe) {
  const pid_t pid = fork();
  if (pid == 0)
    child(with_uprobe);
  int status = 0;
  for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; ++i) {
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  const bool ended = kill(pid, 0) != 0;
  kill(pid, SIGKILL);
  rusage used{};
  if (!ended)
    wait4(pid, &status, 0, &used);
  std::printf("%s a uprobe: %s", with_uprobe ? "with" : "without", ended ? "the handler got the trap\n" : "");
  if (!ended)
    std::printf("no end after 2 s, %.1f s of them in the kernel\n",
                static_cast<double>(used.ru_stime.tv_sec) +
                    1e-6 * static_cast<double>(used.ru_stime.tv_usec));
  return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace

int main() {
  std::setbuf(stdout, nullptr);
  const bool without = reaches_handler(false);
  return reaches_handler(true) == without ? 0 : 1;
}
