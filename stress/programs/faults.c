// Programs that live on their faults: the handler sees the fault's address, kind and instruction, mends the reason or
// steps over it, and goes on.
// build: gcc -O1 $src -o $out
// probe: $name:put
// probe: $name:get
// probe: $name:push_there+3
// probe: $name:divide+5
// hits: any
// hits: any
// hits: any
// hits: any
// breaks kernel-uprobe: the handler of a fault sees the number of an earlier trap (uprobe-signals.md)
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

void put(char* at);
long get(char* at);
long push_there(char* at);
long divide(long a, long b);
__asm__(".text\n.globl put\n.type put,@function\nput:\n movq $5,(%rdi)\n ret\n.size put,.-put\n"
        ".globl get\n.type get,@function\nget:\n mov (%rdi),%rax\n ret\n.size get,.-get\n"
        ".globl push_there\n.type push_there,@function\npush_there:\n mov %rsp,%rax\n pushq (%rdi)\n pop %rax\n ret\n.size push_there,.-push_there\n"
        ".globl divide\n.type divide,@function\ndivide:\n mov %rdi,%rax\n cqto\n idiv %rsi\n ret\n.size divide,.-divide\n");

static char* page;
static volatile long number, error, at, instruction, code;

static void on_fault(int signal, siginfo_t* info, void* context) {
  greg_t* const registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  number = registers[REG_TRAPNO];
  error = registers[REG_ERR];
  code = info->si_code;
  instruction = registers[REG_RIP];
  if (signal == SIGFPE) {
    at = (char*)info->si_addr - (char*)instruction;
    registers[REG_RSI] = 1; // the divisor
    return;
  }
  at = (char*)info->si_addr == page + 8 && registers[REG_CR2] == (greg_t)(page + 8);
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void show(const char* what, void* function) {
  printf("%s: trap %ld, error %ld, code %ld, address %ld, at +%ld\n", what, number, error, code, at,
         instruction - (long)function);
}

int main(void) {
  page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGFPE, &action, 0);
  for (int i = 0; i < 20; ++i) {
    mprotect(page, 4096, PROT_READ);
    put(page + 8);
    show("put", (void*)put);
    mprotect(page, 4096, PROT_NONE);
    if (get(page + 8) != 5)
      puts("wrong");
    show("get", (void*)get);
    mprotect(page, 4096, PROT_NONE);
    if (push_there(page + 8) != 5)
      puts("wrong");
    show("push", (void*)push_there);
    if (divide(7, 0) != 7 || divide(9, 3) != 3)
      puts("wrong");
    show("divide", (void*)divide);
  }
  return 0;
}
