// Attaching, arming, disarming, leaving.
#include "harness/base/failure.h"
#include "harness/probe/batch.h"
#include "harness/probe/refuse.h"
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

// The site's earlier record if its bytes are still the same (slots are immutable per site and bytes); else a
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
  Batch<ByteWrite, TracedSite*> batch(placements.size());
  for (const Placement& placement : placements) {
    const Address at = placement.site.address;
    const auto record = record_for(placement);
    if (!record) {
      batch.refuse(std::unexpected(record.error()));
    } else if ((*record)->live) {
      batch.refuse(refuse::already_armed(at));
    } else {
      // Before its int3 can be hit (H18).
      (*record)->live = true;
      batch.accept({at, original_byte(**record), {}}, *record);
    }
  }
  if (!batch.empty())
    armer_->arm(AddressSpace::read(tracees_.process()), batch.writes());
  for (const auto& site : batch.accepted()) {
    if (site.write.error)
      site.refuse(*site.write.error);
    else if (!memory_.byte_is(site.write.address, kInt3))
      site.refuse(refuse::not_taking_effect(site.write.address)); // H64
    else
      continue;
    site.item->live = false;
  }
  return batch.results();
}

// True if the code is still the site's: a byte must not land in a mapping that was made there since (H15).
bool Supervisor::still_mapped(const AddressSpace& space, const Site& site) const {
  const Mapping* const m = space.find(site.address);
  return m != nullptr && m->device == site.device && m->inode == site.inode &&
         (m->inode == 0 ||
          m->file_offset + static_cast<std::uint64_t>(site.address - m->start) == site.file_offset);
}

SiteResults Supervisor::disarm(std::span<const Site> sites) {
  const AddressSpace space = AddressSpace::read(tracees_.process());
  Batch<ByteWrite, TracedSite*> batch(sites.size());
  for (const Site& site : sites) {
    TracedSite* const record = sites_.find(site);
    if (record == nullptr || !record->live) {
      batch.refuse(refuse::not_armed(site.address));
      continue;
    }
    // Traps are handled after this call only, when the int3 is gone.
    record->live = false;
    if (still_mapped(space, site))
      batch.accept({site.address, original_byte(*record), {}}, record);
    else
      batch.done();
  }
  if (!batch.empty())
    armer_->disarm(batch.writes());
  for (const auto& site : batch.accepted())
    if (site.write.error) {
      // Its int3 is still there: it is still armed.
      site.item->live = true;
      site.refuse(*site.write.error);
    }
  return batch.results();
}

// One pass over the stopped threads, which lets those continue that are inside a hit. True if none was.
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
      // It stops again at once, or after its step.
      tracees_.resume(*t);
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
  // Some threads may have continued to make room for the unmapping.
  if (done)
    done = leave();
  // The others wait in the kernel; they are let go when this process ends.
  for (Tracee* const t : tracees_.all())
    if (t->stopped)
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
