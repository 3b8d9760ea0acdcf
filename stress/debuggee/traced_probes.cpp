#include "stress/debuggee/program_probes.h"

namespace proberace {

namespace {

class TracedProbes final : public ProgramProbes {
public:
  bool by_tracing() const override { return true; }

  Status arm(Supervisor& supervisor, pid_t, std::span<const ProbePlace> places) override {
    supervisor_ = &supervisor;
    std::vector<Supervisor::Placement> placements;
    for (const ProbePlace& place : places) {
      placements.push_back({place.site, place.instruction});
      sites_.push_back(place.site);
    }
    const SiteResults results = supervisor.arm(placements);
    for (std::size_t i = 0; i < results.size(); ++i)
      if (!results[i])
        return std::unexpected(Error{results[i].error().kind, results[i].error().address,
                                     places[i].names + ": " + results[i].error().message});
    return {};
  }

  Status disarm() override { return {}; } // the supervisor's detach does

  std::map<pid_t, std::uint64_t> hits(std::size_t place) const override {
    return supervisor_->sites().hits_by_thread(sites_.at(place));
  }

private:
  Supervisor* supervisor_ = nullptr;
  std::vector<Site> sites_;
};

} // namespace

std::unique_ptr<ProgramProbes> traced_probes() {
  return std::make_unique<TracedProbes>();
}

} // namespace proberace
