// A child that shares the program's memory outlives it, and executes probed code when the program has ended.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: any
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x; }

static int child(void* unused) {
  (void)unused;
  int sum = 0;
  for (int i = 0; i < 1000; ++i) {
    sum += work(1);
    if (i % 10 == 0)
      usleep(1000);
  }
  return write(1, sum == 1000 ? "right\n" : "wrong\n", 6) != 6;
}

int main(void) {
  char* stack = malloc(1 << 16);
  if (clone(child, stack + (1 << 16), CLONE_VM, 0) < 0)
    return 2;
  work(1);
  usleep(20000);
  _exit(0); // no exit handlers: they are the child's, too
}
