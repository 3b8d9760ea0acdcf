#include "harness/base/membarrier.h"

#include "harness/base/failure.h"
#include "harness/base/raw_syscall.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <linux/membarrier.h>
#include <sys/syscall.h>

namespace proberace {

namespace {
void command(int membarrier_command, const char* what) noexcept {
  if (raw_syscall(SYS_membarrier, membarrier_command, 0, 0) == 0)
    return;
  std::fprintf(stderr, "proberace: %s without register_membarriers()\n", what);
  std::abort();
}
} // namespace

Status register_membarriers() {
  for (const int registration :
       {MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE}) {
    const long result = raw_syscall(SYS_membarrier, registration, 0, 0);
    if (result < 0)
      return machine_lacks("this kernel refuses membarrier's private expedited core serialisation (needs "
                           "Linux 4.16 and no seccomp filter against it)");
  }
  return {};
}

void serialise_cores() noexcept {
  command(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, "serialise_cores");
}

void heavy_fence() noexcept {
  command(MEMBARRIER_CMD_PRIVATE_EXPEDITED, "heavy_fence");
}

} // namespace proberace
