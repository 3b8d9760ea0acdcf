// Prints what a program gets from who starts it: masks, process group, descriptors. Started by a shell or by run, it
// must be the same.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: 1
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x; }

int main(void) {
  char line[256];
  FILE* status = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, status))
    if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) || !strncmp(line, "SigCgt", 6))
      fputs(line, stdout);
  fclose(status);
  DIR* open = opendir("/proc/self/fd");
  int descriptors = 0;
  while (readdir(open))
    ++descriptors;
  printf("%d descriptors, parent %s group\n", descriptors - 3, getpgid(0) == getpgid(getppid()) ? "in our" : "in another");
  return work(0);
}
