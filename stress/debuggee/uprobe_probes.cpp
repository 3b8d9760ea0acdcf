#include "harness/base/failure.h"
#include "harness/ptrace/proc_status.h"
#include "stress/debuggee/program_probes.h"
#include "stress/debuggee/uprobe_changes.h"
#include "stress/debuggee/uprobe_counters.h"

#include <optional>

namespace proberace {

namespace {

class UprobeProbes final : public ProgramProbes {
public:
  bool by_tracing() const override { return false; }

  std::expected<SiteResults, Error> arm(Supervisor& supervisor, pid_t process,
                                        std::span<const ProbePlace> places) override {
    const Target target(live_thread_of(process));
    auto results = attach(process, in_files(target, places));
    if (!results)
      return results;
    for (std::size_t i = 0; i < places.size(); ++i)
      if ((*results)[i])
        (*results)[i] = seen_armed(target, places[i]);
    if (supervisor.process() == process)
      if (const Status left = supervisor.detach(); !left)
        return std::unexpected(left.error());
    return results;
  }

  Status disarm() override {
    if (!counters_)
      return {};
    counters_->detach();
    if (const std::uint64_t lost = counters_->read().lost; lost != 0)
      return failure(ErrorKind::NoRoom, "the kernel had no room to count {} hits", lost);
    return {};
  }

  Hits hits() const override {
    Hits all(places_);
    if (!counters_)
      return all;
    const UprobeCounters::Counts counts = counters_->read();
    for (std::size_t i = 0; i < counts.hits.size(); ++i)
      all[counted_[i]] = counts.hits[i];
    return all;
  }

private:
  using Places = std::vector<std::expected<UprobeCounters::Place, Error>>;

  static Places in_files(const Target& target, std::span<const ProbePlace> places) {
    const AddressSpace space = target.address_space();
    Places all;
    for (const ProbePlace& place : places) {
      const Mapping& mapping = *space.find(place.site.address);
      if (const auto change = changed_by_uprobe(place.instruction))
        all.emplace_back(failure(ErrorKind::InstructionUnsupported, place.site.address,
                                 "the kernel's uprobes {}", *change));
      else if (mapping.file_backed())
        all.emplace_back(UprobeCounters::Place{place.site.address, target.functions().openable_path(mapping),
                                               place.site.file_offset});
      else
        all.emplace_back(failure(ErrorKind::MemoryUnsupported, place.site.address,
                                 "a uprobe is a place in a file, and this is anonymous memory"));
    }
    return all;
  }

  std::expected<SiteResults, Error> attach(pid_t process, const Places& places) {
    SiteResults results(places.size());
    std::vector<UprobeCounters::Place> taken;
    for (std::size_t i = 0; i < places.size(); ++i)
      if (!places[i]) {
        results[i] = std::unexpected(places[i].error());
      } else {
        taken.push_back(*places[i]);
        counted_.push_back(i);
      }
    places_ = places.size();
    if (taken.empty())
      return results;
    SiteResults attached;
    auto counters = UprobeCounters::attach_each(process, taken, attached);
    if (!counters)
      return std::unexpected(counters.error());
    counters_.emplace(std::move(*counters));
    for (std::size_t i = 0; i < attached.size(); ++i)
      results[counted_[i]] = attached[i];
    return results;
  }

  // The kernel may accept a uprobe and never arm it (H64).
  static Status seen_armed(const Target& target, const ProbePlace& place) {
    std::uint8_t byte = place.instruction.bytes[0];
    if (!target.read(place.site.address, {&byte, 1}) || byte == place.instruction.bytes[0])
      return failure(ErrorKind::NotTakingEffect, place.site.address,
                     "the kernel accepted the uprobe but did not arm it here");
    return {};
  }

  std::optional<UprobeCounters> counters_;
  std::size_t places_ = 0;
  std::vector<std::size_t> counted_; // which of the places
};

} // namespace

std::unique_ptr<ProgramProbes> uprobe_probes() {
  return std::make_unique<UprobeProbes>();
}

} // namespace proberace
