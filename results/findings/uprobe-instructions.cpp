// What the kernel's uprobes do to instructions that they step or emulate wrongly: each case runs the same few
// instructions twice, without a uprobe and with one on the instruction named, and prints what differs.
//
//   g++ -O1 -o /tmp/uprobe-instructions results/findings/uprobe-instructions.cpp && sudo
//   /tmp/uprobe-instructions
//
// Needs root (perf_event_paranoid), uprobes and a processor with AVX2 and FMA; cases with AVX-512 are left
// out where there is none. The uprobes lie in this program's own file and act on its own processes only. Exit
// status: 0 if nothing differs, 1 if something does, 3 if the machine lacks uprobes.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// A function `name` whose one probed instruction, written as bytes, lies at `name_site`. `before` prepares,
// `behind` brings what is to be seen into rax.
#define CODE(name, before, bytes, behind)                                                                    \
  extern "C" std::uint64_t name();                                                                           \
  extern "C" const unsigned char name##_site[];                                                              \
  asm(".text\n.p2align 6\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" before                 \
      "\n.globl " #name "_site\n" #name "_site: .byte " bytes "\n" behind "\nret\n.skip 64, 0x90\n")

// clang-format off
CODE(case_vpcmpeqb,  "vpxor %xmm1,%xmm1,%xmm1\nvmovdqa %xmm1,%xmm0",
                     "0xc5,0xf9,0x74,0xc9", "vmovd %xmm1,%eax");              // vpcmpeqb xmm1, xmm0, xmm1
CODE(case_vpor,      "mov $5,%eax\nvmovd %eax,%xmm1\nvpxor %xmm0,%xmm0,%xmm0",
                     "0xc5,0xf9,0xeb,0xc1", "vmovd %xmm0,%eax\n.skip 256,0x90"); // vpor xmm0, xmm0, xmm1
CODE(case_vpsrldq,   "vpxor %xmm1,%xmm1,%xmm1\nxor %eax,%eax",
                     "0xc5,0xf1,0x73,0xd9,0x02", "mov $1,%al");               // vpsrldq xmm1, xmm1, 2
CODE(case_vzeroall,  "mov $5,%eax\nvmovd %eax,%xmm1\nxor %eax,%eax",
                     "0xc5,0xfc,0x77", "vmovd %xmm1,%eax");                   // vzeroall
CODE(case_vpsubsb,   "mov %rsp,%rdx\nvpxor %xmm0,%xmm0,%xmm0",
                     "0xc5,0xf9,0xe8,0xc0",
                     ".skip 256,0x90\nmov %rdx,%rax\nsub %rsp,%rax\nmov %rdx,%rsp"); // vpsubsb xmm0, xmm0, xmm0
CODE(case_vpgatherdd,"lea case_data(%rip),%rcx\nvpxor %xmm2,%xmm2,%xmm2\nvpcmpeqd %xmm0,%xmm0,%xmm0\n"
                     "vpxor %xmm1,%xmm1,%xmm1",
                     "0xc4,0xe2,0x79,0x90,0x0c,0x11", "vmovd %xmm1,%eax");    // vpgatherdd xmm1, [rcx+xmm2], xmm0
CODE(case_vcmpps,    "vpxor %xmm0,%xmm0,%xmm0",
                     "0xc5,0xf8,0xc2,0xc0,0x00",
                     "lea 0(%rip),%rax\n1: lea 1b(%rip),%rdx\nsub %rdx,%rax"); // vcmpps xmm0, xmm0, xmm0, 0
CODE(case_vfnmadd,   "vpxor %xmm0,%xmm0,%xmm0\nxor %eax,%eax",
                     "0xc4,0xe2,0x79,0x9d,0xc0", "mov $1,%al");               // vfnmadd132ss xmm0, xmm0, xmm0
CODE(case_rep_movsb, "lea case_data(%rip),%rsi\nlea case_room(%rip),%rdi\nmov $8,%ecx",
                     "0xf3,0xa4", "mov %rcx,%rax");                           // rep movsb
CODE(case_pushfq,    "", "0x9c", "pop %rax\nand $0x100,%eax");                // pushfq; the trap flag it saw
CODE(case_fsqrt,     "fldz",
                     "0xd9,0xfa",                                             // fsqrt; its address by fnstenv
                     "sub $32,%rsp\nfnstenv (%rsp)\nmov 12(%rsp),%eax\nadd $32,%rsp\nfstp %st(0)\n"
                     "lea case_fsqrt_site(%rip),%rdx\nsub %edx,%eax");
CODE(case_syscall,   "mov $39,%eax",
                     "0x0f,0x05",                                             // syscall (getpid); its return address
                     "lea 0(%rip),%rdx\n1: mov %rcx,%rax\nlea case_syscall_site+2(%rip),%rdx\nsub %rdx,%rax");
CODE(case_syscall_tf,"mov $39,%eax",
                     "0x0f,0x05", "mov %r11,%rax\nand $0x100,%eax");          // the trap flag that r11 saw
CODE(case_syscall_next, "mov $39,%eax",
                     "0x0f,0x05",                                             // where the next instruction runs
                     ".byte 0x48,0x8d,0x05,0,0,0,0\nlea case_syscall_next_site+9(%rip),%rdx\nsub %rdx,%rax");
CODE(case_rex_prefix,"vpxor %xmm0,%xmm0,%xmm0",
                     "0x40,0x66,0x0f,0x6f,0x05\n.long case_data-.-4", "movd %xmm0,%eax"); // rex movdqa xmm0, [rip+...]
CODE(case_evex,      "vpxord %xmm1,%xmm1,%xmm1\nvmovdqa32 %xmm1,%xmm0\nxor %eax,%eax",
                     "0x62,0xf1,0x7d,0x08,0x74,0xc9", "kmovd %k1,%eax\nmovzwl %ax,%eax"); // vpcmpeqb k1, xmm0, xmm1
// clang-format on
asm(".data\n.p2align 4\ncase_data: .long 0x1234,0x1234,0x1234,0x1234\ncase_room: .skip 16\n.text\n");

namespace {

struct Case {
  const char* shows; // the instruction, and what the figure is
  std::uint64_t (*run)();
  const unsigned char* site;
  bool avx512 = false;
};

const Case kCases[] = {
    {"vpcmpeqb xmm: low lane of the result", case_vpcmpeqb, case_vpcmpeqb_site},
    {"vpor xmm: low lane of the result", case_vpor, case_vpor_site},
    {"vpsrldq xmm, 2: 1 if the next instruction ran", case_vpsrldq, case_vpsrldq_site},
    {"vzeroall: low lane of xmm1", case_vzeroall, case_vzeroall_site},
    {"vpsubsb xmm: bytes pushed", case_vpsubsb, case_vpsubsb_site},
    {"vpgatherdd xmm: low lane of the result", case_vpgatherdd, case_vpgatherdd_site},
    {"vcmpps xmm: 0 if the thread lived", case_vcmpps, case_vcmpps_site},
    {"vfnmadd132ss: 1 if the thread lived", case_vfnmadd, case_vfnmadd_site},
    {"vpcmpeqb k1, xmm: the mask", case_evex, case_evex_site, true},
    {"rep movsb of 8: rcx behind it", case_rep_movsb, case_rep_movsb_site},
    {"pushfq: trap flag pushed", case_pushfq, case_pushfq_site},
    {"fsqrt: its address by fnstenv, less the true one", case_fsqrt, case_fsqrt_site},
    {"syscall: rcx, less the true one", case_syscall, case_syscall_site},
    {"syscall: trap flag in r11", case_syscall_tf, case_syscall_tf_site},
    {"syscall: place of the next instruction, less the true one", case_syscall_next, case_syscall_next_site},
    {"rex 66 movdqa xmm, [rip+...]: low lane loaded", case_rex_prefix, case_rex_prefix_site},
};

int uprobe_type() {
  int type = 0;
  std::FILE* const file = std::fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  if (file == nullptr || std::fscanf(file, "%d", &type) != 1) {
    std::perror("no uprobes here");
    std::exit(3);
  }
  std::fclose(file);
  return type;
}

std::uint64_t place_in_file(const void* code) {
  const auto address = reinterpret_cast<std::uintptr_t>(code);
  std::uint64_t place = 0;
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  for (char line[512]; std::fgets(line, sizeof line, maps) != nullptr;) {
    unsigned long from = 0, to = 0, offset = 0;
    if (std::sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && from <= address && address < to)
      place = address - from + offset;
  }
  std::fclose(maps);
  return place;
}

// For this process; counts hits.
int open_uprobe(int type, const void* site) {
  perf_event_attr attributes{};
  attributes.type = static_cast<std::uint32_t>(type);
  attributes.size = sizeof attributes;
  attributes.config1 = reinterpret_cast<std::uint64_t>("/proc/self/exe");
  attributes.config2 = place_in_file(site);
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0UL));
}

struct Outcome {
  bool returned = false;
  int status = 0; // of the process, if it did not return
  std::uint64_t value = 0, hits = 0;
  int refused = 0; // errno of arming
};

Outcome run_in_child(const Case& c, int type, bool probed) {
  int channel[2];
  if (pipe(channel) != 0)
    std::exit(3);
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);
    Outcome o;
    int event = -1;
    if (probed && (event = open_uprobe(type, c.site)) < 0)
      o.refused = errno;
    if (o.refused == 0) {
      o.value = c.run();
      o.returned = true;
      if (event >= 0 && read(event, &o.hits, sizeof o.hits) != sizeof o.hits)
        o.hits = 0;
    }
    const ssize_t written = write(channel[1], &o, sizeof o);
    _exit(written == sizeof o ? 0 : 3);
  }
  close(channel[1]);
  Outcome o;
  if (read(channel[0], &o, sizeof o) != sizeof o)
    o = {};
  close(channel[0]);
  waitpid(child, &o.status, 0);
  return o;
}

void print(const Outcome& o, bool probed) {
  if (o.refused != 0)
    std::printf("  refused (%s)", std::strerror(o.refused));
  else if (!o.returned)
    std::printf("  killed by signal %d (%s)", WTERMSIG(o.status), strsignal(WTERMSIG(o.status)));
  else {
    std::printf("  %#llx", static_cast<unsigned long long>(o.value));
    if (probed)
      std::printf(", %llu hit%s", static_cast<unsigned long long>(o.hits), o.hits == 1 ? "" : "s");
  }
}

} // namespace

int main() {
  const int type = uprobe_type();
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  int differ = 0, armed = 0;
  for (const Case& c : kCases) {
    if ((c.avx512 && !__builtin_cpu_supports("avx512bw")) || !__builtin_cpu_supports("avx2") ||
        !__builtin_cpu_supports("fma"))
      continue;
    const Outcome bare = run_in_child(c, type, false), probed = run_in_child(c, type, true);
    const bool differs =
        probed.refused == 0 && (bare.returned != probed.returned || bare.value != probed.value ||
                                (probed.returned && probed.hits != 1));
    differ += differs ? 1 : 0;
    armed += probed.refused == 0 ? 1 : 0;
    std::printf("%-8s %-58s bare:", differs ? "DIFFERS" : "same", c.shows);
    print(bare, false);
    std::printf("  probed:");
    print(probed, true);
    std::printf("\n");
  }
  if (armed == 0) {
    std::fprintf(stderr, "no uprobe could be set: run as root, on a processor with AVX2 and FMA\n");
    return 3;
  }
  return differ == 0 ? 0 : 1;
}
