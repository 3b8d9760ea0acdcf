// A signal's end is handed on.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: 1
// status: 134
#include <stdlib.h>
__attribute__((noinline)) void work(void) { __asm__ volatile(""); }
int main(void) { work(); abort(); }
