// Traces its fresh children itself.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: 100
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x; }

int main(void) {
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    pid_t child = fork();
    if (child == 0)
      for (;;)
        pause();
    if (ptrace(PTRACE_SEIZE, child, 0, 0) != 0)
      refused += errno == EPERM;
    work(i);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
  }
  printf("refused %d\n", refused);
  return 0;
}
