// Control leaves probed code by siglongjmp out of a timer's handler, and by contexts that are switched in the middle.
// build: gcc -O1 $src -o $out
// probe: $name:work
// probe: $name:yield
// hits: any
// hits: 2001
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

static sigjmp_buf back;
static void leave(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

static ucontext_t outside, inside;
static volatile unsigned sum;
__attribute__((noinline)) void yield(void) { swapcontext(&inside, &outside); }
static void coroutine(void) {
  for (unsigned i = 0;; ++i) {
    sum += work(i) == 3 * i + 1;
    yield();
  }
}

int main(void) {
  static char stack[65536];
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = leave;
  sigaction(SIGALRM, &action, 0);
  volatile int left = 0;
  volatile unsigned wrong = 0;
  if (sigsetjmp(back, 1) != 0)
    ++left;
  if (left < 200) {
    const struct itimerval soon = {{0, 0}, {0, 300}};
    setitimer(ITIMER_REAL, &soon, 0);
    for (;;)
      wrong += work(1) != 4;
  }
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = sizeof stack;
  makecontext(&inside, coroutine, 0);
  for (int i = 0; i <= 2000; ++i)
    swapcontext(&outside, &inside);
  printf("left %d times, %u wrong, sum %u\n", left, wrong, sum);
  return 0;
}
