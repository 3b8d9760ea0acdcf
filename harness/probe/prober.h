// The interface of every strategy.
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
// - When insert returns, every execution of an armed site that starts later, on any thread, is counted
//   exactly once (if the strategy promises exact counts). When remove returns, no later execution is counted,
//   the count does not move, and the bytes and page permissions are what they were before.
// - insert and remove take batches: a site that is refused leaves the others unaffected. They may be called
//   from any thread, also at once: one of two concurrent inserts of a site succeeds, the other gets
//   AlreadyArmed. They must not be called from a hit handler or from a signal handler.
// - Counts last from open to close: a site that is removed and inserted again continues its count.
// - After close the footprint is what it was before open, except for text pages that were written and may
//   stay private copies (of the armers that write in place; poke/drop gives clean ones back).
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

// Runs in signal context on the thread that hit, with other signals held back, so it must be signal-safe. A
// hit inside it is counted, but does not call it again.
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
  // Removes every probe, waits until every thread is known to have left, gives everything back. NotQuiescent
  // says what was kept if a thread does not leave in time.
  virtual Status close() = 0;

  virtual SiteResults insert(std::span<const Site> sites) = 0;
  // NotQuiescent if a thread does not leave its hit in time: the probe is gone then, but that hit may still
  // be counted.
  virtual SiteResults remove(std::span<const Site> sites) = 0;

  // Hits of a site so far, on all threads; 0 for a site never armed, and after close.
  virtual std::uint64_t hits(const Site& site) const = 0;
  // On one thread (a kernel thread id). Unsupported if the transport does not count by thread. The count of a
  // thread that ended may have been folded into the total.
  virtual std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const = 0;

  // How the strategy deals with hits of a site that is armed now, if it has several ways: "emulated", "pun",
  // ...; "" if it has one way, or if the site is not armed.
  virtual std::string_view way(const Site&) const { return {}; }

  // To be called after each open: close forgets the handler. Null for none. NotOpen; AlreadyArmed while a
  // site is armed; Unsupported if hits never reach the program.
  virtual Status set_handler(HitHandler handler, void* argument) = 0;

  virtual Footprint footprint() const = 0;
  virtual PathCounts paths() const = 0;
};

} // namespace proberace
