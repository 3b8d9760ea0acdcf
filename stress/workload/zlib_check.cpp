#include "stress/workload/zlib_check.h"

#include "harness/probe/roles.h"

#include <fmt/format.h>

namespace proberace {

namespace {

Verdict run(const ZlibOptions& o, const std::string& strategy) {
  CellSpec spec;
  spec.experiment = "zlib";
  spec.parameters = Json{{"strategy", strategy}, {"threads", o.threads},
                         {"sites", o.sites},     {"bytes_per_file", o.bytes_per_file},
                         {"plan", o.plan},       {"symbol", o.symbol}};
  spec.deadline = std::chrono::minutes(5);
  return run_cell(spec);
}

void note_refusals(const Verdict& v, const std::string& strategy, std::vector<std::string>& into) {
  for (const Json& row : v.data.value("rows", Json::array()))
    if (!row["refused"].is_null())
      into.push_back(fmt::format("{}: {} ({}): {}", strategy, row["instruction"].get<std::string>(),
                                 row["function"].get<std::string>(), row["refused"].get<std::string>()));
}

} // namespace

ZlibComparison check_zlib(const ZlibOptions& options) {
  const std::string& peer_name = holder_of(Role::ReferencePeer);
  ZlibComparison c;
  c.own = run(options, options.strategy);
  note_refusals(c.own, options.strategy, c.refused);
  if (c.own.is(Ending::Skipped) || c.own.is(Ending::Refused))
    return c;
  c.peer = options.strategy == peer_name ? c.own : run(options, peer_name);
  if (options.strategy != peer_name)
    note_refusals(c.peer, peer_name, c.refused);
  const Json own = c.own.data.value("rows", Json::array());
  const Json peer = c.peer.data.value("rows", Json::array());
  for (std::size_t i = 0; i < own.size() && i < peer.size(); ++i) {
    if (own[i]["hits"].is_null() || peer[i]["hits"].is_null())
      continue; // one of them refused the site
    ++c.compared;
    if (own[i]["offset"] == peer[i]["offset"] && own[i]["hits"] == peer[i]["hits"])
      ++c.equal;
    else
      c.differing.push_back(fmt::format(
          "{} at file offset {:#x} ({}): {} hits, {} {}", own[i]["instruction"].get<std::string>(),
          own[i]["offset"].get<std::uint64_t>(), own[i]["function"].get<std::string>(), own[i]["hits"].dump(),
          peer_name, peer[i]["hits"].dump()));
  }
  return c;
}

} // namespace proberace
