// Names with several places, places with several names, and names without a size or a type.
// build: gcc -O1 -fPIC -shared -DVERSIONS $src -o $out.so -Wl,--version-script=$dir/names.map && gcc -O1 -c -DSECOND $src -o $out.o && gcc -O1 $src $out.o $out.so -Wl,-rpath,$tmp -o $out
// probe: $name:helper
// probe: $name:no_size
// probe: $name:no_type
// probe: $name.so:versioned
// probe: $name:indirect
// probe: $name:alias_a
// probe: $name:alias_b
// hits: 50
// hits: 120
// hits: 80
// hits: 90
// hits: 3
// hits: 5
// hits: 100
// hits: 14
#include <stdio.h>

#if defined(VERSIONS)
__asm__(".symver old_one,versioned@OLD\n.symver new_one,versioned@@NEW\n.symver old_name,by_old_name@@NEW\n");
int old_one(int x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
int new_one(int x) { __asm__ volatile("" : "+r"(x)); return x + 2; }
int old_name(int x) { return old_one(x); }
#elif defined(SECOND)
static __attribute__((noinline)) int helper(int x) { __asm__ volatile("" : "+r"(x)); return x + 3; }
int other_helper(int x) { return helper(x) + helper(x); }
#else
static __attribute__((noinline)) int helper(int x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
int other_helper(int x), versioned(int x), by_old_name(int x), no_size(int x), no_type(int x), alias_a(int x), alias_b(int x);

// As much assembly has it: without .size, and without .type either.
__asm__(".text\n.globl no_size\n.type no_size,@function\nno_size:\n lea 1(%rdi),%eax\n ret\n"
        ".globl no_type\nno_type:\n lea 2(%rdi),%eax\n ret\n"
        ".globl alias_a\n.globl alias_b\n.type alias_a,@function\n.type alias_b,@function\n"
        "alias_a:\nalias_b:\n lea 3(%rdi),%eax\n ret\n.size alias_a,.-alias_a\n.size alias_b,.-alias_b\n");

static __attribute__((noinline)) int chosen(int x) { __asm__ volatile("" : "+r"(x)); return x + 7; }
static int (*choose(void))(int) { return chosen; }
int indirect(int x) __attribute__((ifunc("choose")));

int main(void) {
  int sum = 0;
  for (int i = 0; i < 50; ++i) sum += helper(i);
  for (int i = 0; i < 60; ++i) sum += other_helper(i);
  for (int i = 0; i < 80; ++i) sum += no_size(i);
  for (int i = 0; i < 90; ++i) sum += no_type(i);
  for (int i = 0; i < 3; ++i) sum += by_old_name(i);
  for (int i = 0; i < 5; ++i) sum += versioned(i);
  for (int i = 0; i < 100; ++i) sum += indirect(i);
  for (int i = 0; i < 7; ++i) sum += alias_a(i) + alias_b(i);
  printf("sum %d\n", sum);
  return 0;
}
#endif
