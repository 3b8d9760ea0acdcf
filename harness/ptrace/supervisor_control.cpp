// Attaching, arming, disarming, leaving.
#include "harness/base/failure.h"
#include "harness/ptrace/proc_status.h"
#include "harness/ptrace/supervisor.h"
#include "harness/ptrace/trace_request.h"
#include "harness/schedule/point.h"

namespace proberace {

namespace {
constexpr Abilities kAbilities{.atomic_access = false, .on_the_thread = false};

std::uint8_t original_byte(const TracedSite& record) {
  return record.displaced.instruction.bytes[0];
}
} // namespace

Supervisor::Supervisor(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper)
    : armer_(std::move(armer)), stepper_(std::move(stepper)),
      calls_(tracees_, memory_, [this](Tracee& t) { handle(t); }), slots_(tracees_, memory_, calls_),
      code_(tracees_, memory_, calls_) {}

Status Supervisor::attach(pid_t process) {
  if (const Status seized = tracees_.seize_all(process); !seized)
    return seized;
  if (const Status opened = memory_.open(process); !opened)
    return opened;
  return armer_ ? armer_->open(code_) : Status{};
}

void Supervisor::serve() {
  tracees_.note_all();
  while (Tracee* const tracee = tracees_.next())
    if (!waits_for_its_turn(*tracee))
      handle(*tracee);
}

void Supervisor::serve_granted() {
  for (Tracee* const tracee : tracees_.all())
    if (tracee->waits_for_its_turn && schedule::granted(tracee->thread))
      handle(*tracee);
}

// The site's earlier record, if its bytes are the same still (slots are immutable per site and bytes), or a
// new one.
std::expected<TracedSite*, Error> Supervisor::record_for(const Placement& placement) {
  if (TracedSite* const known = sites_.find(placement.site);
      known != nullptr && known->displaced.instruction.bytes == placement.instruction.bytes)
    return known;
  auto plan = stepper_->plan(placement.instruction, slots_, kAbilities);
  if (!plan)
    return std::unexpected(plan.error());
  return &sites_.add(Displaced{placement.site, placement.instruction, std::move(*plan)});
}

SiteResults Supervisor::arm(std::span<const Placement> placements) {
  std::vector<std::expected<TracedSite*, Error>> records;
  std::vector<ByteWrite> batch;
  for (const Placement& placement : placements) {
    auto record = record_for(placement);
    if (record && (*record)->live)
      record = failure(ErrorKind::AlreadyArmed, placement.site.address, "a probe is here already");
    if (record) {
      (*record)->live = true; // before its int3 can be hit (H18)
      batch.push_back(ByteWrite{placement.site.address, original_byte(**record), {}});
    }
    records.push_back(std::move(record));
  }
  if (!batch.empty())
    armer_->arm(AddressSpace::read(tracees_.process()), batch);
  SiteResults results;
  auto write = batch.begin();
  for (const auto& record : records) {
    if (!record) {
      results.push_back(std::unexpected(record.error()));
      continue;
    }
    ByteWrite& done = *write++;
    if (!done.error && !memory_.byte_is(done.address, kInt3))
      done.error = Error{ErrorKind::NotTakingEffect, done.address,
                         "the probe's byte was written but is not there"}; // H64
    (*record)->live = !done.error;
    results.push_back(done.error ? Status{std::unexpected(*done.error)} : Status{});
  }
  return results;
}

// Whether the code is still the site's: a byte must not land in what was mapped there since (H15).
bool Supervisor::still_mapped(const AddressSpace& space, const Site& site) const {
  const Mapping* const m = space.find(site.address);
  return m != nullptr && m->device == site.device && m->inode == site.inode &&
         (m->inode == 0 ||
          m->file_offset + static_cast<std::uint64_t>(site.address - m->start) == site.file_offset);
}

SiteResults Supervisor::disarm(std::span<const Site> sites) {
  const AddressSpace space = AddressSpace::read(tracees_.process());
  SiteResults results(sites.size());
  std::vector<ByteWrite> batch;
  std::vector<std::pair<std::size_t, TracedSite*>> written; // result's index, record
  for (std::size_t i = 0; i < sites.size(); ++i) {
    TracedSite* const record = sites_.find(sites[i]);
    if (record == nullptr || !record->live) {
      results[i] = failure(ErrorKind::NotArmed, sites[i].address, "no probe of this prober is here");
      continue;
    }
    record->live = false; // traps are handled after this call only, when the int3 is gone
    if (!still_mapped(space, sites[i]))
      continue;
    batch.push_back(ByteWrite{sites[i].address, original_byte(*record), {}});
    written.emplace_back(i, record);
  }
  if (!batch.empty())
    armer_->disarm(batch);
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (batch[i].error) { // its int3 is still there: still armed
      written[i].second->live = true;
      results[written[i].first] = std::unexpected(*batch[i].error);
    }
  return results;
}

// One pass over stopped threads, letting those go on that are inside a hit. True if none was.
bool Supervisor::all_out() {
  bool out = true;
  for (Tracee* const t : tracees_.all()) {
    if (!t->stopped)
      continue;
    const bool trap = stop_event(t->status) == 0 && stop_signal(t->status) == SIGTRAP;
    const bool stranger = t->process != tracees_.process() && !t->introduced;
    if (trap || stranger) {
      out = false;
      handle(*t);
    } else if (trap_is_pending(t->thread) || (t->stepping != nullptr && !back_to_site(*t))) {
      out = false;
      tracees_.resume(*t); // it stops again at once, or after its step
    }
  }
  return out;
}

Status Supervisor::leave() {
  const auto deadline = std::chrono::steady_clock::now() + Tracees::kStopTimeout;
  for (;;) {
    if (const Status stopped = tracees_.stop_all(); !stopped)
      return stopped;
    if (all_out())
      return {};
    if (std::chrono::steady_clock::now() > deadline)
      return failure(ErrorKind::NotQuiescent, "a thread has not left a hit within {} s",
                     Tracees::kStopTimeout.count());
  }
}

Status Supervisor::detach() {
  std::vector<Site> armed;
  for (const TracedSite& record : sites_.all())
    if (record.live)
      armed.push_back(record.displaced.site);
  Status done;
  for (const Status& removed : process_lives() ? disarm(armed) : SiteResults{})
    if (!removed)
      done = removed;
  if (done)
    done = leave();
  if (done && process_lives())
    done = slots_.release_all();
  if (done)
    done = leave(); // some may have gone on to make room for the unmapping
  for (Tracee* const t : tracees_.all())
    if (t->stopped) // others wait in the kernel; they are let go when this process ends
      tracees_.detach(*t, stop_event(t->status) == 0 && stop_signal(t->status) != kSyscallStop
                              ? stop_signal(t->status)
                              : 0);
  if (armer_)
    armer_->close();
  return done;
}

Footprint Supervisor::footprint() const {
  Footprint all = armer_->footprint();
  all += stepper_->footprint();
  Footprint own;
  own.mappings = static_cast<std::int64_t>(slots_.pages());
  own.mapped_bytes = static_cast<std::int64_t>(slots_.pages() * kPageBytes);
  own.slots = static_cast<std::int64_t>(slots_.slots());
  own.processes = 1;
  for (const TracedSite& record : sites_.all())
    if (!record.live && record.displaced.plan != nullptr)
      ++own.residue_slots;
  all += own;
  return all;
}

} // namespace proberace
