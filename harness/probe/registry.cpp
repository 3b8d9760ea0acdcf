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

template <typename Factory> using Entries = std::map<std::string, Entry<Factory>>;

struct Transport {
  TransportFactory make;
  Pairing pairing;
};

struct Tables {
  Entries<ArmerFactory> armers;
  Entries<StepperFactory> steppers;
  CompositionFactory composition;
  Entries<Transport> transports;
  Entries<ChoosingFactory> wholes; // those that do not choose take no promises
};

// A function's static: registrations run before main, in no known order.
Tables& tables() {
  static Tables instance;
  return instance;
}

constexpr std::string_view kDefaultTransport = "signal";

template <typename Factory>
bool add(Entries<Factory>& table, std::string name, std::string summary, Factory factory) {
  if (!table.emplace(name, Entry<Factory>{std::move(summary), std::move(factory)}).second) {
    std::fprintf(stderr, "proberace: two plug-ins are called '%s'\n", name.c_str());
    std::abort();
  }
  return true;
}

template <typename Factory>
void list(const Entries<Factory>& table, PlugInKind kind, std::vector<PlugIn>& into) {
  for (const auto& [name, entry] : table)
    into.push_back({kind, name, entry.summary});
}

template <typename Factory> std::string names_of(const Entries<Factory>& table) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : table)
    names.push_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::unexpected<Error> no_such(const std::string& strategy) {
  const Tables& t = tables();
  return std::unexpected(Error{
      ErrorKind::BadInput,
      {},
      fmt::format("no strategy is called '{}': one is {}; or transport:armer+stepper of the transports {} "
                  "(signal may be left out); the armers {}; the steppers {}",
                  strategy, names_of(t.wholes), names_of(t.transports), names_of(t.armers),
                  names_of(t.steppers))});
}

// The promises that `name:PROMISE,...` names.
std::expected<std::vector<Promise>, Error> promises_asked(const std::string& strategy) {
  std::vector<Promise> asked;
  const std::size_t colon = strategy.find(':');
  for (std::size_t from = colon == std::string::npos ? strategy.size() : colon + 1; from < strategy.size();) {
    const std::size_t end = std::min(strategy.find(',', from), strategy.size());
    const std::string promise = strategy.substr(from, end - from);
    const auto known = named<Promise>(promise);
    if (!known)
      return std::unexpected(
          Error{ErrorKind::BadInput,
                {},
                fmt::format("no promise is called '{}' in '{}': see proberace list", promise, strategy)});
    asked.push_back(*known);
    from = end + 1;
  }
  return asked;
}

std::string spell(const std::string& transport, const std::string& armer, const std::string& stepper) {
  const std::string pair = plain_name(armer) + "+" + stepper;
  return transport == kDefaultTransport ? pair : transport + ":" + pair;
}

// The parts that `transport:armer+stepper` spells, whether there are plug-ins of these names or not.
std::optional<Parts> split(const std::string& strategy) {
  const std::size_t plus = strategy.find('+');
  if (plus == std::string::npos)
    return std::nullopt;
  const std::size_t colon = strategy.find(':');
  if (colon != std::string::npos && colon > plus)
    return std::nullopt;
  const std::size_t armer = colon == std::string::npos ? 0 : colon + 1;
  return Parts{colon == std::string::npos ? std::string(kDefaultTransport) : strategy.substr(0, colon),
               full_name(strategy.substr(armer, plus - armer)), strategy.substr(plus + 1)};
}

std::vector<std::string> parts_of_stepper(const std::string& name) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t end = std::min(name.find('|', from), name.size());
    parts.push_back(name.substr(from, end - from));
    from = end + 1;
  }
  return parts;
}

// Null if no plug-in is composed of these parts.
std::unique_ptr<Stepper> compose(const std::string& name) {
  const std::vector<std::string> parts = parts_of_stepper(name);
  if (std::ranges::none_of(tables().steppers, [&](const auto& entry) {
        return std::ranges::is_permutation(parts, parts_of_stepper(entry.first));
      }))
    return nullptr;
  std::vector<std::unique_ptr<Stepper>> steppers;
  for (const std::string& part : parts)
    steppers.push_back(make_stepper(part));
  return steppers.size() > 1 && tables().composition ? tables().composition(name, std::move(steppers))
                                                     : nullptr;
}

// Calls f(spelling, transport, armer, stepper) for every combination that works.
template <typename F> void for_each_combination(F&& f) {
  std::map<std::string, std::unique_ptr<Armer>> armers;
  for (const auto& [name, entry] : tables().armers)
    armers[name] = entry.factory();
  std::map<std::string, std::unique_ptr<Stepper>> steppers;
  for (const auto& [name, entry] : tables().steppers)
    steppers[name] = entry.factory();
  for (const auto& [transport, how] : tables().transports)
    for (const auto& [armer, an_armer] : armers)
      for (const auto& [stepper, a_stepper] : steppers)
        if (!how.factory.pairing || how.factory.pairing(*an_armer, *a_stepper))
          f(spell(transport, armer, stepper), transport, armer, stepper);
}

std::vector<std::string> with_wholes(std::vector<std::string> names) {
  for (const auto& whole : tables().wholes)
    names.push_back(whole.first);
  std::sort(names.begin(), names.end());
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& n) { return !is_reference_peer(n); });
  return names;
}

} // namespace

bool register_armer(std::string name, std::string summary, ArmerFactory factory) {
  return add(tables().armers, std::move(name), std::move(summary), std::move(factory));
}
bool register_stepper(std::string name, std::string summary, StepperFactory factory) {
  return add(tables().steppers, std::move(name), std::move(summary), std::move(factory));
}
bool register_composition(CompositionFactory factory) {
  tables().composition = std::move(factory);
  return true;
}
bool register_transport(std::string name, std::string summary, TransportFactory factory, Pairing pairing) {
  return add(tables().transports, std::move(name), std::move(summary),
             Transport{std::move(factory), std::move(pairing)});
}
bool register_whole(std::string name, std::string summary, WholeFactory factory) {
  auto takes_none = [name, make = std::move(factory)](
                        std::span<const Promise> asked) -> std::expected<std::unique_ptr<Prober>, Error> {
    if (!asked.empty())
      return std::unexpected(Error{
          ErrorKind::BadInput, {}, fmt::format("{} takes no promises: call it by its name alone", name)});
    return make();
  };
  return add(tables().wholes, std::move(name), std::move(summary), ChoosingFactory(std::move(takes_none)));
}
bool register_chooser(std::string name, std::string summary, ChoosingFactory factory) {
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
  for_each_combination([&](std::string name, auto&&...) { names.push_back(std::move(name)); });
  return with_wholes(std::move(names));
}

std::vector<std::string> covering_strategies() {
  std::vector<std::string> names;
  const std::string& reference_armer = holder_of(Role::ReferenceArmer);
  const std::string& reference_stepper = holder_of(Role::ReferenceStepper);
  for_each_combination([&](std::string name, const std::string& transport, const std::string& armer,
                           const std::string& stepper) {
    const bool covers = transport == kDefaultTransport
                            ? armer == reference_armer || stepper == reference_stepper
                            : (armer == reference_armer && !make_stepper(stepper)->facts().composed) ||
                                  (armer == holder_of(Role::StoppingArmer) && stepper == reference_stepper);
    if (covers)
      names.push_back(std::move(name));
  });
  return with_wholes(std::move(names));
}

std::vector<std::string> stepping_strategies() {
  std::vector<std::string> names = covering_strategies();
  std::erase_if(names, [](const std::string& strategy) {
    if (const auto parts = parts_of(strategy))
      return !parts->by_default_transport() || parts->armer != holder_of(Role::ReferenceArmer);
    return is_reference_peer(strategy);
  });
  return names;
}

bool Parts::by_default_transport() const {
  return transport == kDefaultTransport;
}

std::optional<Parts> parts_of(const std::string& strategy) {
  const auto parts = split(strategy);
  const Tables& t = tables();
  return parts && t.transports.contains(parts->transport) && t.armers.contains(parts->armer) &&
                 (t.steppers.contains(parts->stepper) || compose(parts->stepper) != nullptr)
             ? parts
             : std::nullopt;
}

std::vector<std::string> orders_of(const std::string& strategy) {
  const auto parts = parts_of(strategy);
  std::vector<std::string> order = parts ? parts_of_stepper(parts->stepper) : std::vector<std::string>{};
  std::vector<std::string> all;
  for (std::size_t n = 1; n < order.size(); ++n) {
    std::ranges::rotate(order, order.begin() + 1);
    all.push_back(spell(parts->transport, parts->armer, fmt::format("{}", fmt::join(order, "|"))));
  }
  return all;
}

Facts facts_of(const std::string& strategy) {
  const auto prober = make_prober(strategy);
  return prober ? (*prober)->facts() : Facts{};
}

bool is_reference_peer(const std::string& strategy) {
  return strategy == holder_of(Role::ReferencePeer);
}

std::optional<Promises> promises_of(const PlugIn& plug_in) {
  switch (plug_in.kind) {
  case PlugInKind::Armer: return tables().armers.at(plug_in.name).factory()->promises();
  case PlugInKind::Stepper: return tables().steppers.at(plug_in.name).factory()->promises();
  case PlugInKind::Whole: return (*tables().wholes.at(plug_in.name).factory({}))->promises();
  case PlugInKind::Transport: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Facts> facts_of(const PlugIn& plug_in) {
  switch (plug_in.kind) {
  case PlugInKind::Armer: return make_armer(plug_in.name)->facts();
  case PlugInKind::Stepper: return make_stepper(plug_in.name)->facts();
  case PlugInKind::Whole: return facts_of(plug_in.name);
  case PlugInKind::Transport: return std::nullopt;
  }
  return std::nullopt;
}

std::unique_ptr<Stepper> make_stepper(const std::string& name) {
  const auto it = tables().steppers.find(name);
  return it != tables().steppers.end() ? it->second.factory() : compose(name);
}

std::unique_ptr<Armer> make_armer(const std::string& name) {
  const auto it = tables().armers.find(full_name(name));
  return it != tables().armers.end() ? it->second.factory() : nullptr;
}

std::expected<std::unique_ptr<Prober>, Error> make_prober(const std::string& strategy) {
  if (const auto whole = tables().wholes.find(strategy.substr(0, strategy.find(':')));
      whole != tables().wholes.end()) {
    const auto asked = promises_asked(strategy);
    return asked ? whole->second.factory(*asked) : std::unexpected(asked.error());
  }
  const auto parts = parts_of(strategy);
  if (!parts)
    return no_such(strategy);
  const Transport& transport = tables().transports.at(parts->transport).factory;
  auto made_armer = tables().armers.at(parts->armer).factory();
  auto made_stepper = make_stepper(parts->stepper);
  if (transport.pairing && !transport.pairing(*made_armer, *made_stepper))
    return std::unexpected(Error{ErrorKind::BadInput,
                                 {},
                                 fmt::format("the transport {} cannot work with {}+{}", parts->transport,
                                             parts->armer, parts->stepper)});
  return transport.make(std::move(made_armer), std::move(made_stepper));
}

} // namespace proberace
