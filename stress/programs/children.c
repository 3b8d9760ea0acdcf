// Children by every call that makes one. Those that have memory of their own are not counted; a child that shares the
// program's memory executes the program's own probes, and is.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: 30
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x + 1; }

int main(void) {
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    sum += work(i);
    pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 5; ++k)
        sum += work(k);
      _exit(sum & 7);
    }
    int status = 0;
    waitpid(child, &status, 0);
    sum += work(WEXITSTATUS(status));
    char* arguments[] = {"true", 0};
    posix_spawnp(&child, "true", 0, 0, arguments, environ);
    waitpid(child, &status, 0);
    sum += work(WEXITSTATUS(status));
  }
  printf("sum %d\n", sum);
  return 0;
}
