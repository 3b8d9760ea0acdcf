// The one interface behind which every strategy stands.
//
//   Target target;                                            // this process: target.h
//   auto prober = make_prober("pte-swap+xol-vma");            // registry.h
//   (*prober)->open(target);
//   auto site = target.site_at(Address{...});
//   (*prober)->insert({{*site}});                             // one result per site
//   ... (*prober)->hits(*site) ...
//   (*prober)->remove({{*site}});
//   (*prober)->close();
//
// Contracts:
// - When insert returns, every execution of an armed site that starts later, on any thread, is counted exactly
//   once (as far as the strategy promises exact counts). When remove returns, no later execution is counted,
//   the count does not move, and the bytes and page permissions are what they were.
// - insert and remove are batches: a site that is refused leaves the others unaffected. They may be called from
//   any thread, also at once: one of two concurrent inserts of a site succeeds, the other gets AlreadyArmed.
//   Not from a hit handler, and not from a signal handler.
// - Counts last from open to close: removing and inserting a site again between the two goes on where it was.
// - After close the footprint is what it was before open, but for text pages that were written and may stay
//   private copies (of the armers that write in place; poke/drop gives clean ones back).
#pragma once

#include "harness/base/error.h"
#include "harness/code/site.h"
#include "harness/probe/facts.h"
#include "harness/probe/footprint.h"
#include "harness/probe/paths.h"
#include "harness/probe/promises.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace proberace {

class Target;
class TrapContext;

struct Hit {
  const Site& site;
  TrapContext& context; // the thread's registers as they were at the site; changes take effect
};

// Runs in signal context on the thread that hit, with other signals held back: must be signal-safe. A hit
// inside it is counted, but does not call it again.
using HitHandler = void (*)(Hit& hit, void* argument);

using SiteResults = std::vector<Status>; // one per site of the batch, in its order

class Prober {
public:
  virtual ~Prober() = default;
  Prober() = default;
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  virtual std::string name() const = 0;
  virtual Promises promises() const = 0;
  virtual Facts facts() const { return {}; }

  // `target` must outlive the prober's open time. AlreadyOpen, MachineLacks (with the reason), NoPermission.
  virtual Status open(const Target& target) = 0;
  // Removes what is armed, waits until every thread is known to have left, gives everything back.
  // NotQuiescent (and what was kept) if a thread does not leave in time.
  virtual Status close() = 0;

  virtual SiteResults insert(std::span<const Site> sites) = 0;
  // NotQuiescent if a thread does not come out of its hit in time: the probe is gone then, but that hit may
  // still be counted.
  virtual SiteResults remove(std::span<const Site> sites) = 0;

  // Hits of a site so far, on all threads; 0 for a site never armed, and after close.
  virtual std::uint64_t hits(const Site& site) const = 0;
  // On one thread (a kernel thread id). Unsupported where the transport counts no threads. A thread that
  // ended may have been folded into the total.
  virtual std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const = 0;

  // How hits of a site that is armed now are dealt with, where a strategy has several ways: "emulated",
  // "pun", ...; "" where it has one, or where nothing of this prober is armed.
  virtual std::string_view way(const Site&) const { return {}; }

  // After open, each time: close forgets it. Null for none. NotOpen; AlreadyArmed while anything is armed;
  // Unsupported where hits never reach user space.
  virtual Status set_handler(HitHandler handler, void* argument) = 0;

  virtual Footprint footprint() const = 0;
  virtual PathCounts paths() const = 0;
};

} // namespace proberace
