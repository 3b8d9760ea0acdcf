#include "strategies/whole/uprobe_event.h"

#include "harness/base/failure.h"

#include <cerrno>
#include <fstream>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr int kNotSupported = 524; // ENOTSUPP, a kernel-internal errno that uprobe_register lets through
constexpr char kTypeFile[] = "/sys/bus/event_source/devices/uprobe/type";

} // namespace

std::expected<std::uint32_t, Error> uprobe_perf_type() {
  std::uint32_t type = 0;
  if (!(std::ifstream(kTypeFile) >> type))
    return machine_lacks("this kernel has no uprobes for perf ({} is missing)", kTypeFile);
  return type;
}

// config1 is the path, config2 the offset.
int open_uprobe_event(std::uint32_t type, const std::string& path, std::uint64_t offset, pid_t thread,
                      int cpu, bool inherit) {
  perf_event_attr attribute{};
  attribute.size = sizeof attribute;
  attribute.type = type;
  attribute.config1 = reinterpret_cast<std::uint64_t>(path.c_str());
  attribute.config2 = offset;
  if (thread != -1 && inherit) {
    attribute.inherit = 1;
    attribute.inherit_thread = 1;
  }
  return static_cast<int>(::syscall(SYS_perf_event_open, &attribute, thread, cpu, -1, PERF_FLAG_FD_CLOEXEC));
}

Error uprobe_registration_error(int error_number, Address at) {
  switch (error_number) {
  case kNotSupported:
  case ENOTSUP:
    return Error{ErrorKind::InstructionUnsupported, at,
                 "the kernel's uprobes do not support this instruction"};
  case EACCES:
  case EPERM: return Error{ErrorKind::NoPermission, at, "kernel uprobes need CAP_PERFMON: run as root"};
  case EMFILE:
    return Error{ErrorKind::NoRoom, at, "no file descriptor left for the uprobe's event (ulimit -n)"};
  default: return system_error("the kernel refused the uprobe", error_number, at);
  }
}

} // namespace proberace
