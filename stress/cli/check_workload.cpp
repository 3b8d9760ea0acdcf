#include "stress/cli/check_workload.h"

#include "harness/cell/cell.h"
#include "stress/cli/overall.h"
#include "stress/workload/workload.h"
#include "stress/workload/workload_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

void CheckWorkload::declare(CLI::App& app) {
  app.add_option("--workload", workloads_,
                 fmt::format("Code that checks itself: your shared library, or one of {}; may be repeated",
                             fmt::join(own_workloads(), ", ")))
      ->excludes("--target")
      ->excludes("--elf")
      ->excludes("--isa")
      ->excludes("--sequences");
  app.add_option("--subsets", subsets_, "With --workload: random subsets of its sites, after all at once")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
}

Exit CheckWorkload::run(const std::vector<std::string>& strategies, const Conditions& conditions, bool json,
                        Progress& progress) const {
  start_nursery();
  std::vector<WorkloadRow> rows;
  Overall overall;
  for (const std::string& workload : workloads_) {
    WorkloadOptions options{workload,
                            strategies,
                            conditions.threads,
                            conditions.plan,
                            conditions.seed,
                            subsets_,
                            [&](const std::string& line) { progress.show(line); }};
    for (WorkloadRow& row : check_workload(options)) {
      if (row.whole.is(Ending::Refused))
        return fail(Error{ErrorKind::BadInput, {}, row.whole.summary});
      if (row.whole.is(Ending::Skipped))
        overall.did_not_run(row.whole);
      else
        overall.ran(row.broken != 0);
      rows.push_back(std::move(row));
    }
  }
  Json all = Json::array();
  for (const WorkloadRow& row : rows)
    all.push_back(proberace::to_json(row));
  return overall.report("proberace/workload/1", std::move(all), text_of(rows), json);
}

} // namespace proberace
