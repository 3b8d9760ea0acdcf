#include "harness/ptrace/proc_status.h"
#include "strategies/whole/uprobe_event.h"
#include "stress/debuggee/program_probes.h"

#include <cerrno>
#include <sys/resource.h>
#include <unistd.h>

namespace proberace {

namespace {

// One perf event for each thread and site, opened while the thread is stopped and has executed nothing.
// Events are not left to be inherited: perf would read the path through a pointer of ours in the program's
// memory, and creating a thread would fail there.
class UprobeProbes final : public ProgramProbes {
public:
  ~UprobeProbes() override { (void)disarm(); }

  Status arm(Supervisor& supervisor, std::span<const ProbePlace> places) override {
    const auto type = uprobe_perf_type();
    if (!type)
      return std::unexpected(type.error());
    type_ = *type;
    if (const Status stopped = supervisor.stop_all(); !stopped)
      return stopped;
    if (rlimit files{}; ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    const Target target(supervisor.process());
    const AddressSpace space = target.address_space();
    for (const ProbePlace& place : places) {
      const Mapping& mapping = *space.find(place.site.address);
      if (!mapping.file_backed())
        return std::unexpected(
            Error{ErrorKind::MemoryUnsupported, place.site.address,
                  place.spec.text + ": a uprobe is a place in a file, and this is anonymous memory"});
      probes_.push_back(Probe{mapping.path, place.site, {}, {}});
    }
    for (const pid_t thread : threads_of(supervisor.process()))
      count_thread(thread);
    if (!trouble_)
      return trouble_;
    supervisor.on_new_thread([this](pid_t thread) { count_thread(thread); });
    return seen_armed(target, places);
  }

  Status disarm() override {
    for (Probe& probe : probes_)
      while (!probe.events.empty())
        fold(probe, probe.events.begin()->first);
    return trouble_;
  }

  std::map<pid_t, std::uint64_t> hits(std::size_t place) const override { return probes_.at(place).counted; }

private:
  struct Probe {
    std::string path;
    Site site;
    std::map<pid_t, int> events; // by thread
    std::map<pid_t, std::uint64_t> counted;
  };
  static constexpr std::size_t kEventsBeforeSweep = 1024; // of threads that may have ended

  void count_thread(pid_t thread) {
    for (Probe& probe : probes_) {
      if (probe.events.size() >= kEventsBeforeSweep)
        sweep(probe);
      const int event = open_uprobe_event(type_, probe.path, probe.site.file_offset, thread, -1, false);
      if (event >= 0)
        probe.events[thread] = event;
      else if (errno != ESRCH && trouble_)
        trouble_ = std::unexpected(uprobe_registration_error(errno, probe.site.address));
    }
  }

  static void fold(Probe& probe, pid_t thread) {
    const int event = probe.events.at(thread);
    if (std::uint64_t count = 0; ::read(event, &count, sizeof count) == sizeof count && count != 0)
      probe.counted[thread] += count;
    ::close(event);
    probe.events.erase(thread);
  }

  static void sweep(Probe& probe) {
    std::vector<pid_t> ended;
    for (const auto& [thread, event] : probe.events)
      if (has_ended(thread))
        ended.push_back(thread);
    for (const pid_t thread : ended)
      fold(probe, thread);
  }

  // The kernel may accept a uprobe and never arm it (H64).
  static Status seen_armed(const Target& target, std::span<const ProbePlace> places) {
    for (const ProbePlace& place : places) {
      std::uint8_t byte = place.instruction.bytes[0];
      if (!target.read(place.site.address, {&byte, 1}) || byte == place.instruction.bytes[0])
        return std::unexpected(
            Error{ErrorKind::NotTakingEffect, place.site.address,
                  place.spec.text + ": the kernel accepted the uprobe but did not arm it here"});
    }
    return {};
  }

  std::uint32_t type_ = 0;
  std::vector<Probe> probes_;
  Status trouble_;
};

} // namespace

std::unique_ptr<ProgramProbes> uprobe_probes() {
  return std::make_unique<UprobeProbes>();
}

} // namespace proberace
