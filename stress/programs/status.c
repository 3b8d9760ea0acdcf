// Its own exit status is handed on.
// build: gcc -O1 $src -o $out
// probe: $name:work
// hits: 1
// status: 41
__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x; }
int main(void) { return work(41); }
