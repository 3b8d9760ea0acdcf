// Signals arrive all the time while two threads execute a probed function, whose loop runs in the handler, too.
// build: gcc -O1 -pthread $src -o $out
// build: gcc -O1 -msse2 -mfpmath=sse -pthread $src -o $out
// probe: $name:work
// hits: any
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

static volatile long in_handler;
static volatile int begun;
__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

static void handler(int signal) { (void)signal; in_handler += work(1) == 4; }

static void* calls(void* wrong) {
  begun = 1;
  unsigned x = 1, y = 1;
  for (int i = 0; i < 20000; ++i) {
    x = work(x);
    y = y * 3 + 1;
    *(int*)wrong += x != y;
  }
  return 0;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, 0);
  struct itimerval each = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_PROF, &each, 0);
  pthread_t thread[2];
  int wrong[2] = {0, 0};
  for (int i = 0; i < 2; ++i)
    pthread_create(&thread[i], 0, calls, &wrong[i]);
  for (int i = 0; i < 2; ++i)
    pthread_join(thread[i], 0);
  puts(wrong[0] + wrong[1] == 0 ? "right" : "wrong");
  return 0;
}
