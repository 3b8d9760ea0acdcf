// The `signal` transport: a Prober made of an armer and a stepper, its traps taken by a SIGTRAP handler in
// the process.
//
// Idea: insert publishes a site's record before its int3 can be seen. Remove takes the int3 away before it
// marks the record dead, and then waits until no thread is inside with that record (quiescence.h). Trade-off:
// nothing outside the process is needed and a hit costs one signal, but the process' SIGTRAP is ours while
// the prober is open. The variant `signal/iretq` leaves the handler without the kernel (iretq_exit.h): it is
// cheaper, and promises less.
#pragma once

#include "harness/code/admission.h"
#include "harness/probe/armer.h"
#include "harness/probe/batch.h"
#include "harness/probe/prober.h"
#include "harness/trap/local_code.h"
#include "harness/trap/near_slots.h"
#include "harness/trap/signal_session.h"

#include <map>
#include <memory>
#include <mutex>

namespace proberace {

class SignalProber final : public Prober {
public:
  SignalProber(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper,
               WayOut way_out = WayOut::Sigreturn);
  ~SignalProber() override;

  std::string name() const override;
  Promises promises() const override;
  Facts facts() const override;
  Status open(const Target& target) override;
  Status close() override;
  SiteResults insert(std::span<const Site> sites) override;
  SiteResults remove(std::span<const Site> sites) override;
  std::uint64_t hits(const Site& site) const override;
  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override;
  std::string_view way(const Site& site) const override;
  Status set_handler(HitHandler handler, void* argument) override;
  Footprint footprint() const override;
  PathCounts paths() const override;

private:
  using SiteBatch = Batch<ByteWrite, SiteRecord*>;

  std::expected<SiteRecord*, Error> prepare(const AddressSpace& space, const Site& site);
  std::expected<SiteRecord*, Error> record_for(const Site& site, const Instruction& instruction);
  SiteRecord* live_record(const Site& site) const;
  void arm(const AddressSpace& space, SiteBatch& batch);
  bool seen_armed(Address at) const;
  void disarm(SiteBatch& batch);
  void restore_until_quiet(std::span<const ByteWrite> writes);
  void give_back_when_left();
  Status restore_sigtrap_when_left();
  Status wait_until_all_left(std::chrono::milliseconds timeout) const;
  SiteResults remove_locked(std::span<const Site> sites);

  LocalCode code_;
  const std::unique_ptr<Armer> armer_;
  const std::unique_ptr<Stepper> stepper_;
  const WayOut way_out_;

  mutable std::mutex mutex_; // control operations only; the hit path never takes it
  const Target* target_ = nullptr;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<SignalSession> session_;
  NearSlots slots_;
  std::map<Site, SiteRecord*> records_;  // the newest of each site, live or dead
  std::map<Address, SiteRecord*> armed_; // live ones, by address
};

} // namespace proberace
