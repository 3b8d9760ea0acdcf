// Arguments that look like options of ours, or like lists.
// build: gcc -O1 $src -o $out
// run: -d --out nowhere --help '[a,b]' '[]' '["x"]' -- --json ''
// probe: $name:work
// probe: $name:work
// hits: 11
#include <stdio.h>
__attribute__((noinline)) int work(const char* word) { __asm__ volatile("" : "+r"(word)); return puts(word); }
int main(int count, char** words) {
  for (int i = 0; i < count; ++i)
    work(i == 0 ? "program" : words[i]);
  return 0;
}
