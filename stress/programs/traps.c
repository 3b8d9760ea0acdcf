// Traps of the program's own: an int3, a SIGTRAP that is raised, one that is raised while it is blocked, and steps by
// the trap flag through a probed function.
// build: gcc -O1 -pthread $src -o $out
// probe: $name:work
// probe: $name:work+3
// hits: 404
// hits: 404
// breaks kernel-uprobe: a step over a probed instruction ends with a SIGTRAP as if a user sent it (uprobe-signals.md)
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

unsigned work(unsigned x);
__asm__(".text\n.globl work\n.type work,@function\nwork:\n lea (%rdi,%rdi,2),%eax\n add $1,%eax\n ret\n.size work,.-work\n");

static __thread volatile int traps, steps;

static void on_trap(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (info->si_code == TRAP_TRACE)
    ++steps;
  else
    ++traps;
}

static unsigned stepped(unsigned x) {
  unsigned result;
  __asm__ volatile("sub $128,%%rsp\n pushfq\n orl $0x100,(%%rsp)\n popfq\n call work\n pushfq\n andl $~0x100,(%%rsp)\n popfq\n"
                   " add $128,%%rsp"
                   : "=a"(result) : "D"(x) : "memory", "cc");
  return result;
}

static void* all(void* unused) {
  unsigned wrong = 0;
  for (unsigned i = 0; i < 100; ++i) {
    __asm__ volatile("int3");
    pthread_kill(pthread_self(), SIGTRAP);
    wrong += work(i) != 3 * i + 1;
  }
  for (unsigned i = 0; i < 100; ++i)
    wrong += stepped(i) != 3 * i + 1;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTRAP);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  pthread_kill(pthread_self(), SIGTRAP);
  const int before = traps;
  pthread_sigmask(SIG_UNBLOCK, &set, 0);
  wrong += before != 200 || work(1) != 4 || work(2) != 7;
  printf("%d traps, %d steps, %u wrong\n", traps, steps, wrong);
  return unused;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, 0);
  all(0);
  pthread_t thread;
  pthread_create(&thread, 0, all, 0);
  pthread_join(thread, 0);
  return 0;
}
