// Two thousand short threads, eight at a time, each of which executes probed code at its start and at its end.
// build: gcc -O1 -pthread $src -o $out
// probe: $name:work
// hits: 6000
#include <pthread.h>
#include <stdio.h>

__attribute__((noinline)) unsigned work(unsigned x) { __asm__ volatile("" : "+r"(x)); return x * 3 + 1; }

static pthread_key_t at_end;
static void end(void* wrong) { *(unsigned*)wrong += work(3) != 10; }

static void* begin(void* wrong) {
  *(unsigned*)wrong += (work(1) != 4) + (work(2) != 7);
  pthread_setspecific(at_end, wrong);
  return 0;
}

int main(void) {
  unsigned wrong[8] = {0};
  pthread_key_create(&at_end, end);
  for (int i = 0; i < 250; ++i) {
    pthread_t thread[8];
    for (int j = 0; j < 8; ++j)
      pthread_create(&thread[j], 0, begin, &wrong[j]);
    for (int j = 0; j < 8; ++j)
      pthread_join(thread[j], 0);
  }
  unsigned sum = 0;
  for (int j = 0; j < 8; ++j)
    sum += wrong[j];
  printf("%u wrong\n", sum);
  return 0;
}
