#include "harness/ptrace/proc_status.h"
#include "strategies/whole/uprobe_event.h"
#include "stress/run/program_probes.h"

#include <cerrno>
#include <unistd.h>

namespace proberace {

namespace {

// One perf event for each thread there is, taken over by the threads it creates (not by forked children). The
// threads are stopped meanwhile, so that none is born uncounted or counted twice.
class UprobeProbes final : public ProgramProbes {
public:
  ~UprobeProbes() override { disarm(); }

  Status arm(Supervisor& supervisor, std::span<const ProbePlace> places) override {
    const auto type = uprobe_perf_type();
    if (!type)
      return std::unexpected(type.error());
    if (const Status stopped = supervisor.stop_all(); !stopped)
      return stopped;
    const AddressSpace space = AddressSpace::read(supervisor.process());
    for (const ProbePlace& place : places)
      if (const Status armed = arm_one(*type, supervisor, *space.find(place.site.address), place); !armed)
        return armed;
    return {};
  }

  bool needs_supervisor() const noexcept override { return false; }

  void disarm() override {
    for (const auto& probe : probes_) {
      Armed& armed = *probe;
      armed.counted = read_all(armed.events);
      for (const int event : armed.events)
        ::close(event);
      armed.events.clear();
    }
  }

  std::uint64_t hits(std::size_t place) const override {
    const Armed& armed = *probes_.at(place);
    return armed.counted + read_all(armed.events);
  }
  std::optional<std::map<pid_t, std::uint64_t>> hits_by_thread(std::size_t) const override {
    return std::nullopt;
  }

private:
  struct Armed {
    std::string path; // perf reads it again at every clone that takes over the event
    std::vector<int> events;
    std::uint64_t counted = 0;
  };

  Status arm_one(std::uint32_t type, const Supervisor& supervisor, const Mapping& mapping,
                 const ProbePlace& place) {
    if (!mapping.file_backed())
      return std::unexpected(
          Error{ErrorKind::MemoryUnsupported, place.site.address,
                place.spec.text + ": a uprobe is a place in a file, and this is anonymous memory"});
    Armed& armed = *probes_.emplace_back(std::make_unique<Armed>());
    armed.path = mapping.path;
    for (const pid_t thread : threads_of(supervisor.process())) {
      const int event = open_uprobe_event(type, armed.path, place.site.file_offset, thread, -1);
      if (event < 0 && errno == ESRCH)
        continue; // ended
      if (event < 0)
        return std::unexpected(uprobe_registration_error(errno, place.site.address));
      armed.events.push_back(event);
    }
    std::uint8_t byte = place.instruction.bytes[0];
    if (!Target(supervisor.process()).read(place.site.address, {&byte, 1}) ||
        byte == place.instruction.bytes[0])
      return std::unexpected(
          Error{ErrorKind::NotTakingEffect, place.site.address,
                place.spec.text + ": the kernel accepted the uprobe but did not arm it here"});
    return {};
  }

  static std::uint64_t read_all(const std::vector<int>& events) {
    std::uint64_t sum = 0;
    for (const int event : events)
      if (std::uint64_t count = 0; ::read(event, &count, sizeof count) == sizeof count)
        sum += count;
    return sum;
  }

  std::vector<std::unique_ptr<Armed>> probes_;
};

} // namespace

std::unique_ptr<ProgramProbes> uprobe_probes() {
  return std::make_unique<UprobeProbes>();
}

} // namespace proberace
