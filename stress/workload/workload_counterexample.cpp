#include "stress/workload/workload_counterexample.h"

#include "harness/base/json_fields.h"
#include "stress/workload/workload.h"

#include <filesystem>

namespace proberace {

namespace {

struct WorkloadCase {
  std::string workload;
  std::size_t threads = 4;
  std::string plan;
  std::uint64_t seed = 0;
  SiteRanges sites{};

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("workload", self.workload);
    field("threads", self.threads, AtLeast{1});
    field("plan", self.plan);
    field("seed", self.seed);
    field("sites", self.sites);
  }
};

// One of ours by its name; a user's file by its whole path, so that it is found from any folder.
std::string lasting_name(const std::string& workload) {
  if (const auto ours = own_workloads(); std::ranges::find(ours, workload) != ours.end())
    return workload;
  std::error_code error;
  const auto path = std::filesystem::absolute(workload, error);
  return error ? workload : path.lexically_normal().string();
}

class WorkloadKind final : public ReplayKind {
public:
  std::string_view name() const noexcept override { return "workload"; }

  Status check(const Counterexample& found) const override {
    const auto c = read_fields<WorkloadCase>(found.what, UnknownKeys::Refused);
    return c ? Status{} : in_its_case(c.error());
  }

  Replayed run(const Counterexample& found) const override {
    const WorkloadCase c = read_fields<WorkloadCase>(found.what).value();
    WorkloadOptions options;
    options.workload = c.workload;
    options.threads = c.threads;
    options.plan = c.plan;
    options.seed = c.seed;
    Replayed now;
    now.verdict = run_cell(workload_cell(options, found.strategy, c.sites));
    for (const std::string& line : sites_in_words(c.workload, c.sites))
      now.text += line + "\n";
    return now;
  }
};

const bool workload_kind_registered = register_replay_kind(std::make_unique<WorkloadKind>());

} // namespace

Counterexample to_counterexample(const WorkloadOptions& options, const WorkloadRow& row) {
  Counterexample found;
  found.kind = "workload";
  found.strategy = row.strategy;
  found.what = write_fields(WorkloadCase{lasting_name(row.workload), options.threads, options.plan,
                                         options.seed, row.at_fault->sites});
  found.verdict = to_json(row.at_fault->verdict);
  found.seed = options.seed;
  found.recurs = row.at_fault->recurs;
  return found;
}

} // namespace proberace
