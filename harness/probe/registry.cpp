#include "harness/probe/registry.h"

#include "harness/probe/stepper.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <map>

namespace proberace {

namespace {

template <typename Factory> struct Entry {
  std::string summary;
  Factory factory;
};

template <typename Factory> using Table = std::map<std::string, Entry<Factory>>;

struct Tables {
  Table<ArmerFactory> armers;
  Table<StepperFactory> steppers;
  Table<TransportFactory> transports;
  Table<WholeFactory> wholes;
};

// A function's static: registrations run before main, in no known order.
Tables& tables() {
  static Tables instance;
  return instance;
}

constexpr std::string_view kDefaultTransport = "signal";
constexpr std::string_view kReferencePeer = "kernel-uprobe";

template <typename Factory>
bool add(Table<Factory>& table, std::string name, std::string summary, Factory factory) {
  if (!table.emplace(name, Entry<Factory>{std::move(summary), std::move(factory)}).second) {
    std::fprintf(stderr, "proberace: two plug-ins are called '%s'\n", name.c_str());
    std::abort();
  }
  return true;
}

template <typename Factory>
void list(const Table<Factory>& table, PlugInKind kind, std::vector<PlugIn>& into) {
  for (const auto& [name, entry] : table)
    into.push_back({kind, name, entry.summary});
}

std::unexpected<Error> no_such(const std::string& strategy) {
  return std::unexpected(Error{
      ErrorKind::BadInput,
      {},
      fmt::format("no strategy is called '{}'; there are: {}", strategy, fmt::join(strategy_names(), ", "))});
}

} // namespace

bool register_armer(std::string name, std::string summary, ArmerFactory factory) {
  return add(tables().armers, std::move(name), std::move(summary), std::move(factory));
}
bool register_stepper(std::string name, std::string summary, StepperFactory factory) {
  return add(tables().steppers, std::move(name), std::move(summary), std::move(factory));
}
bool register_transport(std::string name, std::string summary, TransportFactory factory) {
  return add(tables().transports, std::move(name), std::move(summary), std::move(factory));
}
bool register_whole(std::string name, std::string summary, WholeFactory factory) {
  return add(tables().wholes, std::move(name), std::move(summary), std::move(factory));
}

std::vector<PlugIn> plug_ins() {
  std::vector<PlugIn> all;
  list(tables().armers, PlugInKind::Armer, all);
  list(tables().steppers, PlugInKind::Stepper, all);
  list(tables().transports, PlugInKind::Transport, all);
  list(tables().wholes, PlugInKind::Whole, all);
  return all;
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const auto& transport : tables().transports)
    for (const auto& armer : tables().armers)
      for (const auto& stepper : tables().steppers) {
        const std::string pair = armer.first + "+" + stepper.first;
        names.push_back(transport.first == kDefaultTransport ? pair : transport.first + ":" + pair);
      }
  for (const auto& whole : tables().wholes)
    names.push_back(whole.first);
  std::sort(names.begin(), names.end());
  std::stable_partition(names.begin(), names.end(), [](const std::string& n) { return n != kReferencePeer; });
  return names;
}

std::unique_ptr<Stepper> make_stepper(const std::string& name) {
  const auto it = tables().steppers.find(name);
  return it != tables().steppers.end() ? it->second.factory() : nullptr;
}

std::expected<std::unique_ptr<Prober>, Error> make_prober(const std::string& strategy) {
  if (const auto whole = tables().wholes.find(strategy); whole != tables().wholes.end())
    return whole->second.factory();
  const std::size_t colon = strategy.find(':');
  const std::size_t plus = strategy.find('+');
  if (plus == std::string::npos || (colon != std::string::npos && colon > plus))
    return no_such(strategy);
  const std::size_t armer_begins = colon == std::string::npos ? 0 : colon + 1;
  const std::string transport_name =
      colon == std::string::npos ? std::string(kDefaultTransport) : strategy.substr(0, colon);
  const auto transport = tables().transports.find(transport_name);
  const auto armer = tables().armers.find(strategy.substr(armer_begins, plus - armer_begins));
  const auto stepper = tables().steppers.find(strategy.substr(plus + 1));
  if (transport == tables().transports.end() || armer == tables().armers.end() ||
      stepper == tables().steppers.end())
    return no_such(strategy);
  return transport->second.factory(armer->second.factory(), stepper->second.factory());
}

} // namespace proberace
