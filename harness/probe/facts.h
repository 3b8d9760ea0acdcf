// Facts that a strategy states about itself besides its promises: where its hits go, what its removals cost,
// what it does to threads. Promises are tested. Facts tell other code how to run, measure and judge a
// strategy, so that nothing needs to know it by name.
//
// A plug-in overrides `facts()` and names what differs from the defaults:
//
//   Facts facts() const override { return {.removal = Removal::Slow, .schedulable = false}; }
//
// The facts of a composed strategy follow from those of its parts (&), the facts of a strategy that chooses
// one of several for each site from theirs (|). No part need be open: facts_of("poke+xol-vma") (registry.h).
#pragma once

#include "harness/base/enumeration.h"
#include "harness/probe/paths.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

namespace proberace {

class PathSet {
public:
  constexpr PathSet() noexcept = default;
  constexpr PathSet(std::initializer_list<Path> paths) noexcept {
    for (const Path path : paths)
      bits_ |= bit(path);
  }

  constexpr bool has(Path path) const noexcept { return (bits_ & bit(path)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  // True if there are any, and all are among `others`.
  constexpr bool only(PathSet others) const noexcept { return !empty() && (bits_ & ~others.bits_) == 0; }
  constexpr PathSet operator|(PathSet other) const noexcept {
    PathSet both = *this;
    both.bits_ |= other.bits_;
    return both;
  }
  constexpr bool operator==(const PathSet&) const = default;

  std::vector<std::string_view> names() const;

private:
  static constexpr std::uint32_t bit(Path path) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(path);
  }
  static_assert(kPathCount <= 32);

  std::uint32_t bits_ = 0;
};

// Which hits take a trap that raises SIGTRAP, or would.
enum class Traps : std::uint8_t { EveryHit, SomeHits, NoHit };

inline constexpr auto kTraps = enumeration<Named<Traps>>(
    {{Traps::EveryHit, "every-hit"}, {Traps::SomeHits, "some-hits"}, {Traps::NoHit, "no-hit"}});
constexpr const auto& rows_of(Traps) noexcept {
  return kTraps;
}

// The one that gets a thread that hit past the probe.
enum class HandledBy : std::uint8_t {
  Thread,     // the thread itself, inside the process
  Supervisor, // a process that traces the thread: no other process can trace it meanwhile
  Kernel,     // nothing of the hit is seen in user space
};

inline constexpr auto kHandledBy = enumeration<Named<HandledBy>>(
    {{HandledBy::Thread, "thread"}, {HandledBy::Supervisor, "supervisor"}, {HandledBy::Kernel, "kernel"}});
constexpr const auto& rows_of(HandledBy) noexcept {
  return kHandledBy;
}

enum class Removal : std::uint8_t {
  Quick,
  WaitsForThreads, // until each thread has left memory of its own: milliseconds when many threads run
  Slow,            // tens of milliseconds for each site: choose few sites and few rounds
};

inline constexpr auto kRemovals = enumeration<Named<Removal>>(
    {{Removal::Quick, "quick"}, {Removal::WaitsForThreads, "waits-for-threads"}, {Removal::Slow, "slow"}});
constexpr const auto& rows_of(Removal) noexcept {
  return kRemovals;
}

struct Facts {
  // The paths of its hits (paths.h): each hit is counted under exactly one of these. A hit that traps is
  // counted as Path::Breakpoint besides. Empty: not stated.
  PathSet paths{};
  Traps traps = Traps::EveryHit;
  HandledBy handled_by = HandledBy::Thread;
  Removal removal = Removal::Quick;
  // Inserting, removing and hitting pass schedule points, so that a conductor can interleave threads there.
  bool schedulable = true;
  // Prober::hits(site, thread) works.
  bool counts_threads = true;
  // It refuses instructions that its promises cover, for lack of room or because it computes only some.
  bool selective = false;
  // Its parts are plug-ins that are registered by themselves, of which it takes one for each site.
  bool composed = false;
  // A probe is in every process that maps the file, not only in the target.
  bool machine_wide = false;
  // Arming and disarming hold every other thread, which fails while a thread cannot be held.
  bool stops_threads = false;
  // Arming and disarming wait until every thread has run a signal handler: a thread that holds signals back,
  // as one inside a hit does, makes them fail.
  bool threads_must_answer = false;
  // It writes through a mapping of the page that it made for the first probe there: other code that takes the
  // page's place later cannot be probed.
  bool keeps_mappings = false;
  // When the last probe of a page is removed, a page that was clean is the file's own again.
  bool gives_pages_back = false;
  // More sites than these at a time are refused, or take minutes. Null: there is no such number.
  std::optional<std::size_t> most_sites{};

  // True if another tracer may step its threads: it handles hits in the thread itself, and traces none to stop them.
  bool may_be_stepped() const noexcept {
    return handled_by == HandledBy::Thread && (!stops_threads || threads_must_answer);
  }

  // All parts act on each hit.
  Facts operator&(const Facts& other) const noexcept;
  // One of the two acts on a site.
  Facts operator|(const Facts& other) const noexcept;
  bool operator==(const Facts&) const = default;

  // base/fields.h
  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("paths", self.paths);
    field("traps", self.traps);
    field("handled_by", self.handled_by);
    field("removal", self.removal);
    field("schedulable", self.schedulable);
    field("counts_threads", self.counts_threads);
    field("selective", self.selective);
    field("composed", self.composed);
    field("machine_wide", self.machine_wide);
    field("stops_threads", self.stops_threads);
    field("threads_must_answer", self.threads_must_answer);
    field("keeps_mappings", self.keeps_mappings);
    field("gives_pages_back", self.gives_pages_back);
    field("most_sites", self.most_sites);
  }
};

} // namespace proberace
