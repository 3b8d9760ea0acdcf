// A thousand functions that threads call in turn, and a 5 ms timer that notices when the program stands still. With
// THREADS it prints, ten times a second: the time, the calls so far, and the longest time between two ticks since
// the last line. scripts/attach reads them. Four threads are busy; further ones call ten times a second and sleep in
// between, as most threads of a server do. ticks SECONDS [THREADS [LIBRARY]]
// build: gcc -O1 -pthread $src -o $out -ldl
// run: 0.3
// probe: $name:f000
// probe: $name:f999
// hits: any
// hits: any
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define EACH10(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9)
#define EACH100(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9)
#define EACH1000(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9)
#define F(n) __attribute__((noinline)) unsigned f##n(unsigned x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
#define F10(n) EACH10(F, n)
#define F100(n) EACH100(F10, n)
EACH1000(F100)
#define NAME(n) f##n,
#define NAME10(n) EACH10(NAME, n)
#define NAME100(n) EACH100(NAME10, n)
static unsigned (*const functions[1000])(unsigned) = {EACH1000(NAME100)};

enum { most = 512, busy = 4 };
static volatile int stop;
static struct { _Alignas(64) volatile unsigned long calls; } counts[most];
static volatile double last, longest;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tick(int signal) {
  (void)signal;
  const double t = now();
  if (last != 0 && t - last > longest)
    longest = t - last;
  last = t;
}

static void* call_all(void* number) {
  const long own = (long)number;
  const struct timespec pause = {0, 100000000};
  unsigned long wrong = 0;
  while (!stop)
    for (int i = 0; i < 1000 && !stop; ++i) {
      if (functions[i]((unsigned)i) != (unsigned)i + 1)
        ++wrong;
      counts[own].calls = counts[own].calls + 1;
      if (own >= busy)
        nanosleep(&pause, 0);
    }
  return (void*)wrong;
}

int main(int count, char** arguments) {
  const double seconds = count > 1 ? atof(arguments[1]) : 1;
  int threads = count > 2 ? atoi(arguments[2]) : 2;
  if (threads > most)
    threads = most;
  if (count > 3 && dlopen(arguments[3], RTLD_NOW) == 0) {
    puts(dlerror());
    return 2;
  }
  sigset_t alarm_set;
  sigemptyset(&alarm_set);
  sigaddset(&alarm_set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm_set, 0); // the first thread alone takes it
  pthread_t all[most];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  for (long i = 0; i < threads; ++i)
    pthread_create(&all[i], &small, call_all, (void*)i);
  struct sigaction action = {0};
  action.sa_handler = tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, 0);
  pthread_sigmask(SIG_UNBLOCK, &alarm_set, 0);
  const struct itimerval every = {{0, 5000}, {0, 5000}};
  setitimer(ITIMER_REAL, &every, 0);

  const double end = now() + seconds;
  while (now() < end) {
    const double next = now() + 0.1;
    while (now() < next && now() < end) {
      const struct timespec moment = {0, 2000000};
      nanosleep(&moment, 0);
    }
    if (count > 2) {
      unsigned long sum = 0;
      for (int i = 0; i < threads; ++i)
        sum += counts[i].calls;
      printf("%.4f %lu %.4f\n", now(), sum, longest);
      fflush(stdout);
      longest = 0;
    }
  }
  stop = 1;
  unsigned long wrong = 0;
  for (int i = 0; i < threads; ++i) {
    void* its = 0;
    pthread_join(all[i], &its);
    wrong += (unsigned long)its;
  }
  printf("wrong %lu\n", wrong);
  return wrong != 0;
}
