#include "harness/base/failure.h"
#include "harness/ptrace/proc_status.h"
#include "stress/debuggee/program_probes.h"
#include "stress/debuggee/uprobe_counters.h"

#include <optional>

namespace proberace {

namespace {

class UprobeProbes final : public ProgramProbes {
public:
  bool by_tracing() const override { return false; }

  Status arm(Supervisor& supervisor, pid_t process, std::span<const ProbePlace> places) override {
    const Target target(live_thread_of(process));
    const AddressSpace space = target.address_space();
    std::vector<UprobeCounters::Place> in_files;
    for (const ProbePlace& place : places) {
      const Mapping& mapping = *space.find(place.site.address);
      if (!mapping.file_backed())
        return failure(ErrorKind::MemoryUnsupported, place.site.address,
                       "{}: a uprobe is a place in a file, and this is anonymous memory", place.names);
      in_files.push_back(
          {place.site.address, target.functions().openable_path(mapping), place.site.file_offset});
    }
    auto counters = UprobeCounters::attach(process, in_files);
    if (!counters)
      return std::unexpected(counters.error());
    counters_.emplace(std::move(*counters));
    if (const Status seen = seen_armed(target, places); !seen)
      return seen;
    return supervisor.process() == process ? supervisor.detach() : Status{};
  }

  Status disarm() override {
    counters_->detach();
    counts_ = counters_->read();
    if (counts_.lost != 0)
      return failure(ErrorKind::NoRoom, "the kernel had no room to count {} hits", counts_.lost);
    return {};
  }

  std::map<pid_t, std::uint64_t> hits(std::size_t place) const override { return counts_.hits.at(place); }

private:
  // The kernel may accept a uprobe and never arm it (H64).
  static Status seen_armed(const Target& target, std::span<const ProbePlace> places) {
    for (const ProbePlace& place : places) {
      std::uint8_t byte = place.instruction.bytes[0];
      if (!target.read(place.site.address, {&byte, 1}) || byte == place.instruction.bytes[0])
        return failure(ErrorKind::NotTakingEffect, place.site.address,
                       "{}: the kernel accepted the uprobe but did not arm it here", place.names);
    }
    return {};
  }

  std::optional<UprobeCounters> counters_;
  UprobeCounters::Counts counts_;
};

} // namespace

std::unique_ptr<ProgramProbes> uprobe_probes() {
  return std::make_unique<UprobeProbes>();
}

} // namespace proberace
