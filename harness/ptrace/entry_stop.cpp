#include "harness/ptrace/entry_stop.h"

#include <elf.h>
#include <fmt/format.h>
#include <fstream>

namespace proberace {

namespace {

// The address at which a program's own code begins, from the vector that the kernel handed it (getauxval(3)).
Address entry_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/auxv", process), std::ios::binary);
  for (Elf64_auxv_t entry{}; file.read(reinterpret_cast<char*>(&entry), sizeof entry);)
    if (entry.a_type == AT_ENTRY)
      return Address{entry.a_un.a_val};
  return {};
}

} // namespace

void EntryStop::on_exec(pid_t process) {
  if (!entry_ || entry_->address != Address{})
    return;
  entry_->address = entry_of(process);
  (void)memory_.read(entry_->address, {&entry_->original, 1});
  (void)memory_.write(entry_->address, {&kInt3, 1});
}

bool EntryStop::on_breakpoint(Tracee& tracee, PtraceContext& context) {
  if (!entry_ || entry_->address == Address{} || context.pc() - 1 != entry_->address)
    return false;
  (void)memory_.write(entry_->address, {&entry_->original, 1});
  context.set_pc(entry_->address);
  context.commit();
  entry_->arrived = tracee.thread;
  tracees_.interrupt(tracee);
  tracees_.resume(tracee);
  return true;
}

} // namespace proberace
