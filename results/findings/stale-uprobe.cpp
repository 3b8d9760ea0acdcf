// Does the kernel take int3 traps in files that no uprobe was ever set on? Prints how many of 4 per file it
// took.
//
//   g++ -O1 -o /tmp/stale-uprobe results/findings/stale-uprobe.cpp && sudo sh -c 'ulimit -n 20000;
//   /tmp/stale-uprobe'
//
// Each file is new, in memory, and gets an int3 of this program's own at four places; a trap that does not
// reach the program's SIGTRAP handler was taken by the kernel. One uprobe, on this program's own function, is
// open meanwhile: the kernel looks for uprobes only in processes that it knows to have one.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace {

constexpr int kFiles = 4000;
constexpr int kPlaces[] = {0x00, 0x40, 0x80, 0xc0};
constexpr std::size_t kPage = 4096;

volatile int traps = 0;

// Behind the int3 lie fillers, and a ret at the fifteenth byte.
void on_trap(int, siginfo_t*, void* context) {
  traps = traps + 1;
  auto& rip = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  rip = rip - 1 + 15;
}

extern "C" [[gnu::noinline]] int probed(int x) {
  asm volatile("");
  return x + 1;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(3);
}

int open_uprobe_on_this_program() {
  int type = 0;
  std::FILE* const file = std::fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  if (file == nullptr || std::fscanf(file, "%d", &type) != 1)
    fail("no uprobes here");
  std::fclose(file);
  const auto address = reinterpret_cast<std::uintptr_t>(&probed);
  std::uint64_t place = 0;
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  for (char line[512]; std::fgets(line, sizeof line, maps) != nullptr;) {
    unsigned long from = 0, to = 0, offset = 0;
    if (std::sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && from <= address && address < to)
      place = address - from + offset;
  }
  std::fclose(maps);
  perf_event_attr attributes{};
  attributes.type = static_cast<std::uint32_t>(type);
  attributes.size = sizeof attributes;
  attributes.config1 = reinterpret_cast<std::uint64_t>("/proc/self/exe");
  attributes.config2 = place;
  const long event = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0UL);
  if (event < 0)
    fail("perf_event_open");
  return static_cast<int>(event);
}

} // namespace

int main() {
  open_uprobe_on_this_program();
  probed(1);
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGTRAP, &action, nullptr);
  const int memory = open("/proc/self/mem", O_RDWR);
  std::uint8_t page[kPage];
  std::memset(page, 0x90, sizeof page);
  for (const int place : kPlaces)
    page[place + 15] = 0xc3;
  int taken = 0;
  for (int i = 0; i < kFiles; ++i) { // all stay open, so that each has an inode of its own
    const int file = memfd_create("text", 0);
    if (file < 0 || write(file, page, sizeof page) != sizeof page)
      fail("memfd (ulimit -n 20000?)");
    auto* const text =
        static_cast<std::uint8_t*>(mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0));
    for (const int place : kPlaces) {
      const std::uint8_t int3 = 0xcc;
      if (pwrite(memory, &int3, 1, reinterpret_cast<off_t>(text + place)) != 1)
        fail("/proc/self/mem");
      traps = 0;
      reinterpret_cast<void (*)()>(text + place)();
      if (traps == 0) {
        ++taken;
        std::printf("file %d, place %#x: the trap never came\n", i, static_cast<unsigned>(place));
      }
    }
  }
  std::printf("%d of %zu traps were taken by the kernel\n", taken, kFiles * std::size(kPlaces));
  return taken == 0 ? 0 : 1;
}
