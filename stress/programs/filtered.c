// Its seccomp filter kills it for system calls that it does not make itself, and at last for one that it does.
// build: gcc -O1 -pthread $src -o $out
// run: 300
// probe: $name:work
// hits: any
// status: 159
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

int main(int count, char** words) {
  struct sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                ALLOW(SYS_write), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_restart_syscall),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
  struct timespec begun, now;
  clock_gettime(CLOCK_MONOTONIC, &begun); // in the vdso from now on
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    return 2;
  unsigned x = 1, y = 1;
  do {
    x = work(x);
    y = y * 3 + 1;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (x == y && (now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < (count > 1 ? atoi(words[1]) : 1));
  (void)!write(1, x == y ? "right\n" : "wrong\n", 6);
  return (int)syscall(SYS_getppid); // the filter's to answer
}
