// Real input: Debian's libz compresses and decompresses real files while hundreds of its instructions are
// probed. The output must be what it is unprobed; the counts per site are the experiment's data, to be
// compared with another strategy's for the same input.
#include "harness/base/process_memory.h"
#include "harness/cell/experiment.h"
#include "harness/code/decode.h"
#include "harness/code/target.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/code/object_code.h"
#include "stress/workload/zlib_workload.h"

#include <fmt/format.h>

namespace proberace {

namespace {

std::expected<std::vector<CodePoint>, Error> of_function(std::vector<CodePoint> all,
                                                         const std::string& symbol) {
  if (!symbol.empty())
    std::erase_if(all, [&](const CodePoint& c) { return c.function != symbol; });
  if (all.empty())
    return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("libz has no function '{}'", symbol)});
  return all;
}

std::string instruction_text(Address at) {
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  if (!read_memory(at, bytes))
    return "?";
  const auto instruction = decode(at, bytes);
  return instruction ? disassemble(*instruction) : "?";
}

Verdict run_zlib(const Json& parameters, Arena& arena) {
  ThreadPoint& point = arena.point_for_this_thread();
  const auto zlib = ZlibLibrary::load();
  if (!zlib)
    return verdict_of(zlib.error());
  const auto inputs = zlib_inputs(parameters.value("bytes_per_file", std::size_t{0}));
  if (!inputs)
    return verdict_of(inputs.error());
  const auto plan = make_pin_plan(parameters.value("plan", std::string("across-cores")),
                                  parameters.value("threads", std::size_t{1}));
  if (!plan)
    return verdict_of(plan.error());
  point.pass("running unprobed");
  const std::vector<FileBytes> unprobed = zlib_round_trip(*zlib, *inputs, plan->cpus);

  Target target; // outlives the prober
  const Address inside = address_of(reinterpret_cast<const void*>(zlib->adler32));
  const auto all = of_function(all_instructions(target, inside), parameters.value("symbol", ""));
  if (!all)
    return verdict_of(all.error());
  const std::vector<CodePoint> chosen = spread(*all, parameters.value("sites", std::size_t{240}));
  const AddressSpace space = target.address_space();
  std::vector<Site> sites;
  Json rows = Json::array();
  for (const CodePoint& c : chosen)
    if (const auto site = target.site_at(space, c.address)) {
      sites.push_back(*site);
      rows.push_back(Json{{"offset", site->file_offset},
                          {"function", c.function},
                          {"instruction", instruction_text(c.address)},
                          {"hits", nullptr},
                          {"refused", nullptr}});
    }

  auto prober = make_prober(parameters.at("strategy"));
  if (!prober)
    return verdict_of(prober.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  point.pass("inserting");
  const SiteResults results = (*prober)->insert(sites);
  std::size_t armed = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (results[i])
      ++armed;
    else
      rows[i]["refused"] = describe(results[i].error());
  }
  point.pass("running probed");
  const std::vector<FileBytes> probed = zlib_round_trip(*zlib, *inputs, plan->cpus);
  std::uint64_t hits = 0;
  std::size_t hit_sites = 0;
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (results[i]) {
      const std::uint64_t n = (*prober)->hits(sites[i]);
      rows[i]["hits"] = n;
      hits += n;
      hit_sites += n != 0 ? 1 : 0;
    }
  const PathCounts paths = (*prober)->paths();
  point.pass("removing");
  std::size_t not_removed = 0;
  for (const Status& removed : (*prober)->remove(sites))
    not_removed += !removed && removed.error().kind != ErrorKind::NotArmed ? 1 : 0;
  point.pass("running unprobed again");
  const std::vector<FileBytes> after = zlib_round_trip(*zlib, *inputs, plan->cpus);
  std::uint64_t hits_after = 0;
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (results[i])
      hits_after += (*prober)->hits(sites[i]);

  Verdict v;
  v.data = Json{{"sites", sites.size()},
                {"armed", armed},
                {"hit_sites", hit_sites},
                {"hits", hits},
                {"inputs", inputs->size()},
                {"identical", probed == unprobed},
                {"breakpoints", paths[Path::Breakpoint]},
                {"slot_steps", paths[Path::SlotStep]},
                {"in_place_steps", paths[Path::InPlaceStep]},
                {"rows", std::move(rows)}};
  const auto break_with = [&](const char* property, std::string summary) {
    v.ending = Ending::Broken;
    v.property = property;
    v.summary = std::move(summary);
    return v;
  };
  if (probed != unprobed)
    return break_with("output", "the compressed output differs from the unprobed run's");
  if (after != unprobed || hits_after != hits || not_removed != 0)
    return break_with("removal",
                      fmt::format("after removal: {} sites not removed, {} hits more, output {}", not_removed,
                                  hits_after - hits, after == unprobed ? "identical" : "differs"));
  v.summary = fmt::format("output identical; {} of {} sites armed, {} hit, {} hits", armed, sites.size(),
                          hit_sites, hits);
  return v;
}

const bool zlib_experiment_registered = register_experiment("zlib", &run_zlib);

} // namespace

} // namespace proberace
