// The first thread ends; another goes on.
// build: gcc -O1 -pthread $src -o $out
// probe: $name:work
// hits: 1000
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) long work(volatile long* p) { return *p += 3; }

static void* go(void* unused) {
  (void)unused;
  usleep(100000); // the first thread has ended by now
  volatile long sum = 0;
  for (int i = 0; i < 1000; ++i)
    work(&sum);
  printf("sum %ld\n", sum);
  exit(0);
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, go, 0);
  pthread_exit(0);
}
