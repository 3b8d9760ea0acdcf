// Queued signals with values, to a thread that executes probed code and to one that is blocked in a system call: none is
// lost, none comes twice, and they come in their order.
// build: gcc -O1 -pthread $src -o $out
// probe: $name:work
// hits: any
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { sent = 3000 };
__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

static volatile int stop, ready, handled[2];
static int out_of_order, wrong; // added to atomically
static __thread int own, last;

static void on_signal(int signal, siginfo_t* info, void* unused) {
  (void)signal, (void)unused;
  __atomic_fetch_add(&out_of_order, info->si_value.sival_int != last + 1, __ATOMIC_RELAXED);
  last = info->si_value.sival_int;
  __atomic_fetch_add(&wrong, work(2) != 7, __ATOMIC_RELAXED);
  ++handled[own];
}

static void* executes(void* unused) {
  while (!stop)
    __atomic_fetch_add(&wrong, work(1) != 4, __ATOMIC_RELAXED);
  return unused;
}

static void* reads(void* pipe) {
  own = 1;
  ready = 1;
  char byte = 0;
  __atomic_fetch_add(&wrong, read(*(int*)pipe, &byte, 1) != 1 || byte != 'x', __ATOMIC_RELAXED);
  return 0;
}

int main(void) {
  int ends[2];
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGRTMIN + 2, &action, 0);
  if (pipe(ends) != 0)
    return 2;
  pthread_t thread[2];
  pthread_create(&thread[0], 0, executes, 0);
  pthread_create(&thread[1], 0, reads, &ends[0]);
  while (!ready)
    usleep(1000);
  for (int i = 1; i <= sent; ++i)
    for (int j = 0; j < 2; ++j)
      while (pthread_sigqueue(thread[j], SIGRTMIN + 2, (union sigval){.sival_int = i}) == EAGAIN)
        usleep(100);
  while (handled[0] != sent || handled[1] != sent)
    usleep(1000);
  (void)!write(ends[1], "x", 1);
  stop = 1;
  for (int j = 0; j < 2; ++j)
    pthread_join(thread[j], 0);
  printf("handled %d and %d, %d out of order, %d wrong\n", handled[0], handled[1], out_of_order, wrong);
  return 0;
}
