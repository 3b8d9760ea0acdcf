#include "harness/machine/kernel_parameters.h"

#include <algorithm>

namespace proberace {

namespace {

// Documentation/admin-guide/kernel-parameters.txt.
constexpr std::string_view kTiming[] = {
    // mitigations of what processors leak
    "mitigations",
    "pti",
    "nopti",
    "nospectre_v1",
    "nospectre_v2",
    "spectre_v2",
    "spectre_v2_user",
    "spectre_bhi",
    "spec_store_bypass_disable",
    "nospec_store_bypass_disable",
    "spec_rstack_overflow",
    "retbleed",
    "l1tf",
    "l1d_flush",
    "mds",
    "tsx",
    "tsx_async_abort",
    "mmio_stale_data",
    "srbds",
    "gather_data_sampling",
    "reg_file_data_sampling",
    "indirect_target_selection",
    "tsa",
    "vmscape",
    "kvm-intel.vmentry_l1d_flush",
    "kvm.nx_huge_pages",
    // hardening that costs time
    "init_on_alloc",
    "init_on_free",
    "randomize_kstack_offset",
    "page_poison",
    "debug_pagealloc",
    "slub_debug",
    "slab_debug",
    "kfence.sample_interval",
    "split_lock_detect",
    "audit",
    "vsyscall",
    "ibt",
    "clearcpuid",
    // which processors run what
    "isolcpus",
    "nohz",
    "nohz_full",
    "irqaffinity",
    "nosmt",
    "maxcpus",
    "nr_cpus",
    "possible_cpus",
    "nosmp",
    "cpuset.sched_load_balance",
    "rcu_nocbs",
    "rcu_nocb_poll",
    "rcupdate.rcu_expedited",
    "rcupdate.rcu_normal",
    "preempt",
    "threadirqs",
    "workqueue.power_efficient",
    "noautogroup",
    "numa",
    "numa_balancing",
    // idling and frequency
    "idle",
    "intel_idle.max_cstate",
    "processor.max_cstate",
    "cpuidle.off",
    "cpuidle.governor",
    "cpuidle_haltpoll.force",
    "cpufreq.off",
    "cpufreq.default_governor",
    "intel_pstate",
    "amd_pstate",
    "amd_prefcore",
    // clocks and ticks
    "clocksource",
    "tsc",
    "notsc",
    "hpet",
    "highres",
    "skew_tick",
    "lapic_timer_c2_ok",
    "no-kvmclock",
    "nopvspin",
    "nowatchdog",
    "nmi_watchdog",
    "nosoftlockup",
    "watchdog_thresh",
    // memory
    "hugepages",
    "hugepagesz",
    "default_hugepagesz",
    "transparent_hugepage",
    "nopcid",
    "noinvpcid",
    "nohugeiomap",
};

constexpr char plain(char letter) noexcept {
  return letter == '-' ? '_' : letter;
}

// The first parameter of `rest`, which loses it. Within double quotes, spaces belong to it (lib/cmdline.c, next_arg).
std::string_view next_parameter(std::string_view& rest) noexcept {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n"), rest.size()));
  bool quoted = false;
  std::size_t end = 0;
  for (; end < rest.size() && (quoted || std::string_view(" \t\n").find(rest[end]) == rest.npos); ++end)
    quoted ^= rest[end] == '"';
  const std::string_view parameter = rest.substr(0, end);
  rest.remove_prefix(end);
  return parameter;
}

} // namespace

bool changes_timing(std::string_view parameter) noexcept {
  return std::ranges::any_of(kTiming, [&](std::string_view known) {
    return std::ranges::equal(known, parameter, {}, plain, plain);
  });
}

std::string timing_parameters(std::string_view command_line) {
  std::string kept;
  for (std::string_view p = next_parameter(command_line); !p.empty(); p = next_parameter(command_line)) {
    if (p == "--") // what follows is for init
      break;
    if (!changes_timing(p.substr(0, p.find('='))))
      continue;
    kept += kept.empty() ? "" : " ";
    kept += p;
  }
  return kept;
}

} // namespace proberace
