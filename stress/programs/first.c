// Twenty functions that are called once each, before anything else: no hit may come before its probe.
// build: gcc -O1 $src -o $out
// probe: $name:early00
// probe: $name:early01
// probe: $name:early02
// probe: $name:early03
// probe: $name:early04
// probe: $name:early05
// probe: $name:early06
// probe: $name:early07
// probe: $name:early08
// probe: $name:early09
// probe: $name:early10
// probe: $name:early11
// probe: $name:early12
// probe: $name:early13
// probe: $name:early14
// probe: $name:early15
// probe: $name:early16
// probe: $name:early17
// probe: $name:early18
// probe: $name:early19
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
// hits: 1
#include <stdio.h>

#define EARLY(n) __attribute__((noinline)) unsigned early##n(unsigned x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
#define ALL(m) m(00) m(01) m(02) m(03) m(04) m(05) m(06) m(07) m(08) m(09) m(10) m(11) m(12) m(13) m(14) m(15) m(16) m(17) m(18) m(19)
ALL(EARLY)
#define CALL(n) sum = early##n(sum);

int main(void) {
  unsigned sum = 0;
  ALL(CALL)
  printf("sum %u\n", sum);
  return 0;
}
