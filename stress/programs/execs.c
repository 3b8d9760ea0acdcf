// A thread that is not the first executes the program again. Its probes are gone then, and what it had counted stays.
// Of kernel-uprobe that holds where address space layouts are random (kernel.randomize_va_space).
// build: gcc -O1 -pthread $src -o $out
// probe: $name:work
// hits: 5
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

static void* execute(void* self) {
  execl(self, self, "again", (char*)0);
  return 0;
}

int main(int count, char** words) {
  unsigned sum = 0;
  for (unsigned i = 0; i < (count > 1 ? 10 : 5); ++i)
    sum += work(i);
  if (count > 1) {
    printf("sum %u\n", sum);
    return 0;
  }
  pthread_t thread;
  pthread_create(&thread, 0, execute, words[0]);
  pause();
  return 1;
}
