#include "harness/machine/pin_plan.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <functional>
#include <hwloc.h>
#include <memory>
#include <sched.h>
#include <set>

namespace proberace {

namespace {

constexpr std::size_t kThreadsPerUnitOversubscribed = 4;

struct Unit {
  int cpu;
  unsigned core;
  unsigned node;
};

unsigned ancestor(hwloc_obj_t unit, hwloc_obj_type_t type, hwloc_topology_t topology) {
  if (type == HWLOC_OBJ_NUMANODE) {
    const int node = hwloc_bitmap_first(unit->nodeset);
    return node < 0 ? 0U : static_cast<unsigned>(node);
  }
  const hwloc_obj_t found = hwloc_get_ancestor_obj_by_type(topology, type, unit);
  return found != nullptr ? found->logical_index : unit->logical_index;
}

// The processing units this process may run on, in hwloc's logical order: neighbours share most.
std::vector<Unit> read_units() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0)
    return {};
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> owner(topology,
                                                                                 &hwloc_topology_destroy);
  if (hwloc_topology_load(topology) != 0)
    return {};
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<Unit> units;
  hwloc_obj_t unit = nullptr;
  while ((unit = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, unit)) != nullptr)
    if (CPU_ISSET(unit->os_index, &allowed))
      units.push_back({static_cast<int>(unit->os_index), ancestor(unit, HWLOC_OBJ_CORE, topology),
                       ancestor(unit, HWLOC_OBJ_NUMANODE, topology)});
  return units;
}

// Read once, before any thread is pinned, and inherited by the nursery's children.
const std::vector<Unit>& units() {
  static const std::vector<Unit> all = read_units();
  return all;
}

std::unexpected<Error> lacks(std::string_view plan, std::string_view what) {
  return machine_lacks("pin plan {}: {}", plan, what);
}

// The first unit of each group (a core, a node), groups in order.
std::vector<int> first_of_each(unsigned Unit::*group) {
  std::vector<int> cpus;
  std::set<unsigned> seen;
  for (const Unit& u : units())
    if (seen.insert(u.*group).second)
      cpus.push_back(u.cpu);
  return cpus;
}

PinPlan cycle(std::string_view name, const std::vector<int>& cpus, std::size_t threads) {
  PinPlan plan{std::string(name), {}};
  for (std::size_t i = 0; i < threads; ++i)
    plan.cpus.push_back(cpus[i % cpus.size()]);
  return plan;
}

using Maker = std::function<std::expected<PinPlan, Error>(std::string_view, std::size_t)>;

std::expected<PinPlan, Error> same_pu(std::string_view name, std::size_t threads) {
  return cycle(name, {units().front().cpu}, threads);
}

std::expected<PinPlan, Error> across_cores(std::string_view name, std::size_t threads) {
  const std::vector<int> cores = first_of_each(&Unit::core);
  if (cores.size() < 2)
    return lacks(name, "this machine has one core");
  return cycle(name, cores, threads);
}

std::expected<PinPlan, Error> smt_siblings(std::string_view name, std::size_t threads) {
  for (const Unit& a : units())
    for (const Unit& b : units())
      if (a.cpu != b.cpu && a.core == b.core)
        return cycle(name, {a.cpu, b.cpu}, threads);
  return lacks(name, "no core of this machine has a second hardware thread");
}

std::expected<PinPlan, Error> across_numa(std::string_view name, std::size_t threads) {
  const std::vector<int> nodes = first_of_each(&Unit::node);
  if (nodes.size() < 2)
    return lacks(name, "this machine has one NUMA node");
  return cycle(name, nodes, threads);
}

std::expected<PinPlan, Error> oversubscribed(std::string_view name, std::size_t threads) {
  std::vector<int> cpus;
  for (const Unit& u : units())
    cpus.push_back(u.cpu);
  return cycle(name, cpus, std::max(threads, cpus.size() * kThreadsPerUnitOversubscribed));
}

struct Row {
  PinPlanText text;
  std::expected<PinPlan, Error> (*make)(std::string_view, std::size_t);
};

constexpr Row kPlans[] = {
    {{"same-pu", "all threads on one processing unit"}, &same_pu},
    {{"across-cores", "each thread on a core of its own, as far as they go"}, &across_cores},
    {{"smt-siblings", "two hardware threads of one core"}, &smt_siblings},
    {{"across-numa", "each thread on a NUMA node of its own, as far as they go"}, &across_numa},
    {{"oversubscribed", "at least four threads per processing unit"}, &oversubscribed},
};

} // namespace

const std::vector<PinPlanText>& pin_plans() {
  static const std::vector<PinPlanText> texts = [] {
    std::vector<PinPlanText> all;
    for (const Row& row : kPlans)
      all.push_back(row.text);
    return all;
  }();
  return texts;
}

std::expected<PinPlan, Error> make_pin_plan(std::string_view name, std::size_t threads) {
  if (units().empty())
    return lacks(name, "hwloc finds no processing unit");
  std::vector<std::string_view> names;
  for (const Row& row : kPlans) {
    if (row.text.name == name)
      return row.make(name, threads);
    names.push_back(row.text.name);
  }
  return bad_input("no pin plan is called '{}'; there are: {}", name, fmt::join(names, ", "));
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  for (const Unit& u : units())
    cpus.push_back(u.cpu);
  return cpus;
}

Status pin_this_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    return std::unexpected(system_error(fmt::format("cannot pin a thread to CPU {}", cpu), errno));
  return {};
}

} // namespace proberace
