// Pages that are made when they are touched: a push that grows the stack, memory that only the program itself reaches.
// build: gcc -O1 $src -o $out
// probe: $name:down
// probe: $name:down+1
// probe: $name:store
// probe: $name:load
// hits: 20001
// hits: 20001
// hits: 64
// hits: 64
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Pushes at each level.
__asm__(".text\n.globl down\n.type down,@function\ndown:\n push %rbx\n push %rdi\n mov %rdi,%rbx\n test %rdi,%rdi\n je 1f\n"
        " dec %rdi\n call down\n add %rbx,%rax\n jmp 2f\n1: xor %eax,%eax\n2: pop %rdi\n pop %rbx\n ret\n.size down,.-down\n"
        ".globl store\n.type store,@function\nstore:\n mov %esi,(%rdi)\n ret\n.size store,.-store\n"
        ".globl load\n.type load,@function\nload:\n mov (%rdi),%eax\n ret\n.size load,.-load\n");
long down(long n);
void store(volatile int* at, int value);
int load(volatile int* at);

static long fill(char* memory) {
  long sum = 0;
  for (int i = 0; i < 32; ++i) {
    store((int*)(memory + i * 4096), i);
    sum += load((int*)(memory + i * 4096));
  }
  return sum;
}

int main(void) {
  long sum = down(20000);
  sum += fill(mmap(0, 32 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  int secret = (int)syscall(447 /* memfd_secret */, 0);
  void* memory = MAP_FAILED;
  if (secret >= 0 && ftruncate(secret, 32 * 4096) == 0)
    memory = mmap(0, 32 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0);
  if (memory == MAP_FAILED) // the kernel has none
    memory = mmap(0, 32 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sum += fill(memory);
  printf("sum %ld\n", sum);
  return 0;
}
