// Functions that share a page of the file with other segments, in every layout that linkers make.
// build: gcc -O1 $src -o $out
// build: gcc -O1 -Wl,-z,noseparate-code $src -o $out
// build: gcc -O1 -Wl,-z,max-page-size=0x200000 -Wl,-z,common-page-size=0x200000 $src -o $out
// build: gcc -O1 -no-pie -Wl,-Ttext-segment=0x10000000 $src -o $out
// build: gcc -O1 -static $src -o $out
// build: gcc -O1 -static-pie $src -o $out
// build: gcc -O1 -fno-asynchronous-unwind-tables -fuse-ld=lld $src -o $out
// build: gcc -O1 -no-pie -fuse-ld=lld $src -o $out
// build: gcc -O1 -fuse-ld=gold $src -o $out
// build: gcc -O1 -fuse-ld=mold $src -o $out
// build: gcc -O1 -rdynamic $src -o $out && for at in 40 60 62; do printf '\0\0' | dd of=$out bs=1 seek=$at conv=notrunc status=none; done
// probe: $name:first
// probe: $name:last
// hits: 10
// hits: 20
#include <stdio.h>

#define STEP(k) x = x * (2 * k + 1) + k; __asm__ volatile("" : "+r"(x));
#define TEN(k) STEP(k) STEP(k + 1) STEP(k + 2) STEP(k + 3) STEP(k + 4) STEP(k + 5) STEP(k + 6) STEP(k + 7) STEP(k + 8)
#define MANY(k) TEN(k) TEN(k + 10) TEN(k + 20) TEN(k + 30) TEN(k + 40) TEN(k + 50) TEN(k + 60) TEN(k + 70)

__attribute__((noinline)) unsigned first(unsigned x) { MANY(1) MANY(2) MANY(3) return x; }
__attribute__((noinline)) unsigned middle(unsigned x) { MANY(4) MANY(5) MANY(6) return x; }
__attribute__((noinline)) unsigned last(unsigned x) { MANY(7) MANY(8) MANY(9) return x; }

int main(void) {
  unsigned sum = 1;
  for (int i = 0; i < 10; ++i)
    sum = last(middle(last(first(sum))));
  printf("sum %u\n", sum);
  return 0;
}
