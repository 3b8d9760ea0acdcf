// Two threads execute a probed function all the time, and a timer's handler, too.
// build: gcc -O1 -DINTEGER -pthread $src -o $out
// build: gcc -O1 -msse2 -mfpmath=sse -pthread $src -o $out
// run: 300
// probe: $name:work
// hits: any
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int stop;
static volatile int wrong;
#ifdef INTEGER
typedef unsigned number;
#define IN_REGISTER "+r"
#else
typedef float number;
#define IN_REGISTER "+x"
#endif
__attribute__((noinline)) number work(number x) { __asm__ volatile("" : IN_REGISTER(x)); return x * 3 + 1; }

static void handler(int signal) {
  (void)signal;
  if (work(2) != 7)
    wrong = 1;
}

static void* calls(void* unused) {
  while (!stop)
    if (work(1) != 4)
      wrong = 1;
  return unused;
}

int main(int count, char** words) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, 0);
  struct itimerval each = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_PROF, &each, 0);
  pthread_t thread[2];
  for (int i = 0; i < 2; ++i)
    pthread_create(&thread[i], 0, calls, 0);
  for (int i = 0; i < (count > 1 ? atoi(words[1]) : 1); ++i)
    usleep(1000);
  stop = 1;
  for (int i = 0; i < 2; ++i)
    pthread_join(thread[i], 0);
  puts(wrong ? "wrong" : "right");
  return 0;
}
