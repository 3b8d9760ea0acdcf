#include "stress/debuggee/program_probes.h"

namespace proberace {

namespace {

class TracedProbes final : public ProgramProbes {
public:
  bool by_tracing() const override { return true; }

  std::expected<SiteResults, Error> arm(Supervisor& supervisor, pid_t,
                                        std::span<const ProbePlace> places) override {
    supervisor_ = &supervisor;
    std::vector<Supervisor::Placement> placements;
    for (const ProbePlace& place : places) {
      placements.push_back({place.site, place.instruction});
      sites_.push_back(place.site);
    }
    SiteResults results = supervisor.arm(placements);
    for (const Status& result : results)
      armed_.push_back(result.has_value());
    return results;
  }

  Status disarm() override { return {}; } // the supervisor's detach does

  Hits hits() const override {
    Hits all;
    for (std::size_t i = 0; i < sites_.size(); ++i)
      all.push_back(armed_[i] ? supervisor_->sites().hits_by_thread(sites_[i])
                              : std::map<pid_t, std::uint64_t>{});
    return all;
  }

private:
  Supervisor* supervisor_ = nullptr;
  std::vector<Site> sites_;
  std::vector<bool> armed_;
};

} // namespace

std::unique_ptr<ProgramProbes> traced_probes() {
  return std::make_unique<TracedProbes>();
}

} // namespace proberace
