// kernel-uprobe: the reference peer: a uprobe of the running kernel, opened and counted through
// perf_event_open(2). It needs CAP_PERFMON (root), mounts nothing and loads no BPF.
//
// Idea: let the kernel do what the mail is about (kernel/events/uprobes.c, arch/x86/kernel/uprobes.c) and
// read its count. Trade-off: a perf event counts one task or one CPU. An event that threads inherit stops
// counting once one of them ends (seen on Linux 6.18: 9 of 12 hits, 3 of 12). So there is one event per CPU,
// which counts every thread that executes the mapped file there: the whole process tree, and any other
// process that maps the file.
//
// The kernel can accept a registration and never arm it, without an error, if it rejects the instruction. So
// the byte in memory is read before a site is called armed (H64).
#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/code/admission.h"
#include "harness/probe/refuse.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "strategies/whole/uprobe_event.h"

#include <cerrno>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

namespace proberace {

namespace {

struct Armed {
  std::string path; // perf keeps a pointer to it
  std::vector<int> events;
  std::uint64_t counted_before = 0; // by earlier registrations of the same site
};

// The file's path if it is still this file; else a name that still opens the mapped file (proc(5),
// map_files).
std::string path_of(const Mapping& mapping) {
  struct stat file {};
  if (::stat(mapping.path.c_str(), &file) == 0 && file.st_ino == mapping.inode)
    return mapping.path;
  return fmt::format("/proc/self/map_files/{:x}-{:x}", value(mapping.start), value(mapping.end));
}

void close_all(std::vector<int>& events) {
  for (const int event : events)
    ::close(event);
  events.clear();
}

std::uint64_t read_all(const std::vector<int>& events) {
  std::uint64_t sum = 0;
  for (const int event : events) {
    std::uint64_t count = 0;
    if (::read(event, &count, sizeof count) == sizeof count)
      sum += count;
  }
  return sum;
}

class KernelUprobe final : public Prober {
public:
  ~KernelUprobe() override {
    if (target_ != nullptr)
      (void)close();
  }

  std::string name() const override { return "kernel-uprobe"; }

  // Seen on Linux 6.18, and observed again by `check`:
  Promises promises() const override {
    return Promises::all_but({
        Promise::RepeatsCountOnce,  // the step ends after each repetition, and the int3 is there for the next
        Promise::ForkSafe,          // per-CPU events count the children too
        Promise::NoAddedMapping,    // the [uprobes] area stays
        Promise::RedZoneIntact,     // the optimised five-byte nop writes a return address below rsp
        Promise::OwnTrapsDelivered, // behind a two-byte int 3 it steps back one byte, into its middle (H70)
        Promise::ChangesTakeEffect, // no handler
        Promise::RseqIntact, // a thread preempted in the out-of-line page is not in its sequence any more
        // The kernel emulates VEX and EVEX instructions with the opcode of a short jump, call, push or nop as
        // that: the first instruction of libc's memset for AVX-512, vpbroadcastb (opcode 7a), as jp.
        Promise::ProbesInOwnPath,
    });
  }
  // A removal takes 20 to 80 ms a site (Linux 6.18), and each site a descriptor for each processor. The kernel
  // does not say which way a hit went.
  Facts facts() const override {
    return {.handled_by = HandledBy::Kernel,
            .removal = Removal::Slow,
            .schedulable = false,
            .counts_threads = false,
            .machine_wide = true,
            .most_sites = 64};
  }

  Status open(const Target& target) override {
    const schedule::Lock lock(mutex_);
    if (target_ != nullptr)
      return refuse::already_open();
    const auto type = uprobe_perf_type();
    if (!type)
      return std::unexpected(type.error());
    type_ = *type;
    // A probe on a path that cannot be a file fails with EACCES or EPERM only if the permission is missing.
    if (open_uprobe_event(type_, "/dev/null/none", 0, 0, -1) < 0 && (errno == EACCES || errno == EPERM))
      return std::unexpected(uprobe_registration_error(EPERM, {}));
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
      soft_limit_before_ = files.rlim_cur;
      files.rlim_cur = files.rlim_max;
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    target_ = &target;
    admission_ = std::make_unique<Admission>(target);
    return {};
  }

  Status close() override {
    const schedule::Lock lock(mutex_);
    if (target_ == nullptr)
      return refuse::not_open();
    for (auto& [site, armed] : sites_) {
      if (!armed.events.empty())
        target_->site_returned(site.address);
      close_all(armed.events);
    }
    sites_.clear();
    if (rlimit files{}; soft_limit_before_ != 0 && ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = soft_limit_before_;
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    soft_limit_before_ = 0;
    admission_.reset();
    target_ = nullptr;
    return {};
  }

  SiteResults insert(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    if (target_ == nullptr)
      return SiteResults(sites.size(), refuse::not_open());
    const AddressSpace space = target_->address_space();
    admission_->begin_batch();
    SiteResults results;
    for (const Site& site : sites)
      results.push_back(insert_one(space, site));
    return results;
  }

  SiteResults remove(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    SiteResults results;
    for (const Site& site : sites)
      results.push_back(remove_one(site));
    return results;
  }

  std::uint64_t hits(const Site& site) const override {
    const schedule::Lock lock(mutex_);
    const auto it = sites_.find(site);
    return it != sites_.end() ? it->second.counted_before + read_all(it->second.events) : 0;
  }

  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t) const override {
    return failure(ErrorKind::Unsupported, site.address,
                   "a uprobe opened once counts no threads, only their sum");
  }

  Status set_handler(HitHandler handler, void*) override {
    if (handler == nullptr)
      return {};
    return failure(ErrorKind::Unsupported, "a counting uprobe's hits never reach user space");
  }

  Footprint footprint() const override {
    const schedule::Lock lock(mutex_);
    Footprint f;
    for (const auto& [site, armed] : sites_)
      f.descriptors += static_cast<std::int64_t>(armed.events.size());
    return f;
  }

  PathCounts paths() const override { return {}; } // the kernel does not say

private:
  Status insert_one(const AddressSpace& space, const Site& site) {
    const Armed& known = sites_[site];
    if (!known.events.empty())
      return refuse::already_armed(site.address);
    const auto instruction = admission_->admit(space, site);
    if (!instruction)
      return std::unexpected(instruction.error());
    if (site.inode == 0)
      return failure(ErrorKind::MemoryUnsupported, site.address,
                     "a uprobe is a place in a file, and this is anonymous memory");
    return register_events(*space.find(site.address), site, *instruction);
  }

  Status register_events(const Mapping& mapping, const Site& site, const Instruction& instruction) {
    Armed& armed = sites_[site];
    armed.path = path_of(mapping);
    std::vector<int> events;
    for (int cpu = 0; cpu < ::get_nprocs_conf(); ++cpu) {
      const int event = open_uprobe_event(type_, armed.path, site.file_offset, -1, cpu);
      if (event < 0 && errno == ENODEV)
        continue; // a CPU that is offline
      if (event < 0) {
        const Error error = uprobe_registration_error(errno, site.address);
        close_all(events);
        return std::unexpected(error);
      }
      events.push_back(event);
    }
    std::uint8_t byte = instruction.bytes[0];
    if (!read_memory(site.address, {&byte, 1}) || byte == instruction.bytes[0]) {
      close_all(events);
      return failure(ErrorKind::NotTakingEffect, site.address,
                     "the kernel accepted the uprobe but did not arm it here");
    }
    armed.events = std::move(events);
    target_->site_taken(site.address, {instruction.bytes.data(), 1}, {&kInt3, 1});
    return {};
  }

  Status remove_one(const Site& site) {
    const auto it = sites_.find(site);
    if (it == sites_.end() || it->second.events.empty())
      return refuse::not_armed(site.address);
    Armed& armed = it->second;
    // Hits after this read and before the last close belong to executions that overlap the removal.
    armed.counted_before += read_all(armed.events);
    close_all(armed.events);
    target_->site_returned(site.address);
    return {};
  }

  mutable std::mutex mutex_;
  const Target* target_ = nullptr;
  std::unique_ptr<Admission> admission_;
  std::uint32_t type_ = 0;
  rlim_t soft_limit_before_ = 0;
  mutable std::map<Site, Armed> sites_;
};

const bool registered = register_whole("kernel-uprobe", "the running kernel's uprobes, counted through perf",
                                       [] { return std::make_unique<KernelUprobe>(); }) &&
                        claim(Role::ReferencePeer, "kernel-uprobe");

} // namespace

} // namespace proberace
