// Plug-ins by name. A strategy's name is `transport:armer+stepper` (`signal:` may be left out) or a whole
// strategy's. A variant of a plug-in is called `name/variant`; the plain name stands for the variant that the
// measurements favour. A plug-in registers itself by one line at the end of its own file; nothing else is
// edited:
//
//   const bool registered =
//       register_stepper("xol-vma", "...", [] { return std::make_unique<XolVma>(); });
//
// Other code asks a strategy for its promises, its facts (facts_of) and its parts (parts_of), and asks which
// plug-in has a role (roles.h): no name is compared with a literal.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/probe/armer.h"
#include "harness/probe/prober.h"
#include "harness/probe/roles.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Counts up with each change of what a plug-in sees of harness/ (plugin.h).
#define PROBERACE_INTERFACE_SYMBOL proberace_interface_3
extern "C" const int PROBERACE_INTERFACE_SYMBOL;

namespace proberace {

// The reference that makes a plug-in need it.
[[gnu::used]] inline const int* const built_against_interface = &PROBERACE_INTERFACE_SYMBOL;

class Stepper; // stepper.h

using ArmerFactory = std::function<std::unique_ptr<Armer>()>;
using StepperFactory = std::function<std::unique_ptr<Stepper>()>;
// Of the steppers that the name's parts, joined by |, are called: the first is tried first.
using CompositionFactory = std::function<std::unique_ptr<Stepper>(
    const std::string& name, std::vector<std::unique_ptr<Stepper>> parts)>;
using TransportFactory =
    std::function<std::unique_ptr<Prober>(std::unique_ptr<Armer>, std::unique_ptr<Stepper>)>;
using WholeFactory = std::function<std::unique_ptr<Prober>()>;
// One that goes by what the caller asks of it: `name:PROMISE,...`, or nothing beyond exact counts: `name`.
using ChoosingFactory =
    std::function<std::expected<std::unique_ptr<Prober>, Error>(std::span<const Promise> asked)>;
// True if a transport can work with these two.
using Pairing = std::function<bool(const Armer&, const Stepper&)>;

// All return true, so that they can initialise a constant. A name registered twice is a programming error:
// aborts.
bool register_armer(std::string name, std::string summary, ArmerFactory factory);
bool register_stepper(std::string name, std::string summary, StepperFactory factory);
// A stepper `b|a` that no plug-in is called is made by it, if one is called `a|b`. There is one.
bool register_composition(CompositionFactory factory);
bool register_transport(std::string name, std::string summary, TransportFactory factory,
                        Pairing pairing = nullptr);
bool register_whole(std::string name, std::string summary, WholeFactory factory);
bool register_chooser(std::string name, std::string summary, ChoosingFactory factory);

enum class PlugInKind { Armer, Stepper, Transport, Whole };
inline constexpr auto kPlugInKinds = enumeration<Named<PlugInKind>>({
    {PlugInKind::Armer, "armer"},
    {PlugInKind::Stepper, "stepper"},
    {PlugInKind::Transport, "transport"},
    {PlugInKind::Whole, "whole strategy"},
});
constexpr const auto& rows_of(PlugInKind) noexcept {
  return kPlugInKinds;
}

struct PlugIn {
  PlugInKind kind;
  std::string name;
  std::string summary;
};

// Sorted by kind, then name.
std::vector<PlugIn> plug_ins();

// Every combination that works, in its shortest spelling, sorted; the reference peer last.
std::vector<std::string> strategy_names();

// Few strategies that have every plug-in among them: each armer beside the reference stepper, each stepper
// beside the reference armer; under the other transports each stepper that is not composed of others, and the
// armer that stops threads; the whole ones; in the same order. What is tested, measured and drawn where all
// combinations would be too many.
std::vector<std::string> covering_strategies();

// The parts of a strategy, under the names that they are registered under.
struct Parts {
  std::string transport;
  std::string armer;
  std::string stepper;
  // In the process, by signal: `armer+stepper` is the whole name.
  bool by_default_transport() const;
};
// Null for a whole strategy, and for a name that is no strategy's.
std::optional<Parts> parts_of(const std::string& strategy);
// The strategy with the parts of its composed stepper in other orders, so that each of them comes first once; the
// strategy itself is not among them. Empty for all others.
std::vector<std::string> orders_of(const std::string& strategy);

// Of a prober that is not open; the defaults for a name that is no strategy's.
Facts facts_of(const std::string& strategy);
bool is_reference_peer(const std::string& strategy);

// Those of covering_strategies() among which arming does not differ: each stepper beside the reference armer
// under the default transport, and the whole ones but the reference peer.
std::vector<std::string> stepping_strategies();

// The promises and facts of a plug-in itself: an armer, a stepper, or a whole strategy. Null for a transport.
std::optional<Promises> promises_of(const PlugIn& plug_in);
std::optional<Facts> facts_of(const PlugIn& plug_in);

// A stepper by itself, for those who compose a prober of their own. Null if there is none of that name.
std::unique_ptr<Stepper> make_stepper(const std::string& name);

// An armer by itself, for the same. Null if there is none of that name.
std::unique_ptr<Armer> make_armer(const std::string& name);

// BadInput with the names there are, if there is no such strategy, or its parts do not work together.
std::expected<std::unique_ptr<Prober>, Error> make_prober(const std::string& strategy);

} // namespace proberace
