// The `ptrace` transport: a Prober whose hits are taken by a supervisor process that traces this process'
// threads.
//
// Idea and trade-off: see supervisor.h. Sites are admitted here, where the program's own code is at hand. The
// rest happens in the supervisor, one command at a time. Hits never reach this process, so no hit handler can
// run.
//
// Tracing breaks these by nature, so they are not promised:
// - A stop ends some blocking system calls with EINTR (signal(7)), and a traced process wakes for signals
//   that it ignores.
// - When an int3 is executed with SIGTRAP blocked, the kernel unblocks SIGTRAP and takes its handler away
//   (kernel/signal.c, force_sig_info_to_task). A tracer cannot know that it was blocked.
// - The stop aborts a restartable sequence.
// - SIGKILL of the supervisor leaves the int3s behind, and the next hit ends the program by SIGTRAP.
#pragma once

#include "harness/code/admission.h"
#include "harness/probe/armer.h"
#include "harness/probe/batch.h"
#include "harness/probe/prober.h"
#include "harness/probe/stepper.h"
#include "harness/ptrace/command_channel.h"
#include "harness/ptrace/turn_relay.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

namespace proberace {

class PtraceProber final : public Prober {
public:
  PtraceProber(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper);
  ~PtraceProber() override;

  std::string name() const override;
  Promises promises() const override;
  Facts facts() const override;
  Status open(const Target& target) override;
  Status close() override;
  SiteResults insert(std::span<const Site> sites) override;
  SiteResults remove(std::span<const Site> sites) override;
  std::uint64_t hits(const Site& site) const override;
  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override;
  Status set_handler(HitHandler handler, void* argument) override;
  Footprint footprint() const override;
  PathCounts paths() const override;

private:
  bool is_anothers() const noexcept;
  bool is_open() const noexcept;
  Status ask(Order order) const;
  std::expected<Instruction, Error> prepare(const AddressSpace& space, const Site& site);
  // Gives the order for the batch, in portions. What the supervisor refuses is refused.
  void carry_out(Order order, Batch<CommandSite>& batch);
  void forget(Address site);
  SiteResults remove_locked(std::span<const Site> sites);

  // Never opened here: each supervisor works with a copy of its own.
  const std::unique_ptr<Armer> armer_;
  const std::unique_ptr<Stepper> stepper_;

  mutable std::mutex mutex_;
  mutable CommandChannel channel_;
  std::unique_ptr<TurnRelay> relay_;
  std::atomic<pid_t> owner_{0}; // a forked child has a copy of this object, but no supervisor
  const Target* target_ = nullptr;
  std::unique_ptr<Admission> admission_;
  std::map<Address, Site> armed_;
};

} // namespace proberace
