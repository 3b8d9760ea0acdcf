#include "harness/ptrace/armed_sites.h"

#include "harness/base/failure.h"
#include "harness/probe/refuse.h"

#include <algorithm>

namespace proberace {

namespace {

constexpr std::size_t kPlansInARow = 16;
constexpr Abilities kAbilities{.atomic_access = false, .on_the_thread = false};

std::uint8_t original_byte(const TracedSite& record) {
  return record.displaced.instruction.bytes[0];
}

} // namespace

// The site's earlier record if its bytes are still the same (slots are immutable per site and bytes); else a
// new one.
std::expected<TracedSite*, Error> ArmedSites::record_for(const Placement& placement) {
  if (TracedSite* const known = sites_.find(placement.site);
      known != nullptr && known->displaced.instruction.bytes == placement.instruction.bytes)
    return known;
  auto plan = stepper_->plan(placement.instruction, slots_, kAbilities);
  if (plan)
    return &sites_.add(Displaced{placement.site, placement.instruction, std::move(*plan)});
  tracees_.note_all();
  if (!tracees_.process_lives())
    return failure(ErrorKind::ThreadWouldNotStop, placement.site.address, "the program has ended");
  return std::unexpected(plan.error());
}

// An exec while sites were planned has ended all records, and the addresses are another program's now.
bool ArmedSites::refuse_if_gone(Batch<ByteWrite, TracedSite*>& batch) {
  const auto live = [](const auto& site) { return site.item->live; };
  if (std::ranges::all_of(batch.accepted(), live))
    return false;
  for (const auto& site : batch.accepted()) {
    site.item->live = false;
    site.refuse(refuse::gone(site.write.address));
  }
  return true;
}

SiteResults ArmedSites::arm(std::span<const Placement> placements, const std::function<void()>& serve) {
  Batch<ByteWrite, TracedSite*> batch(placements.size());
  std::size_t planned = 0;
  for (const Placement& placement : placements) {
    const Address at = placement.site.address;
    const auto record = record_for(placement);
    if (++planned % kPlansInARow == 0 && serve)
      serve();
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
  if (refuse_if_gone(batch))
    return batch.results();
  if (!batch.empty())
    armer_->arm(memory_.space(), batch.writes());
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
bool ArmedSites::still_mapped(const AddressSpace& space, const Site& site) const {
  if (space.mappings().empty()) // they may not be looked at: its int3 says so
    return memory_.byte_is(site.address, kInt3);
  const Mapping* const m = space.find(site.address);
  return m != nullptr && m->device == site.device && m->inode == site.inode &&
         (m->inode == 0 ||
          m->file_offset + static_cast<std::uint64_t>(site.address - m->start) == site.file_offset);
}

SiteResults ArmedSites::disarm(std::span<const Site> sites) {
  const AddressSpace space = memory_.space();
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

std::vector<Site> ArmedSites::armed() const {
  std::vector<Site> armed;
  for (const TracedSite& record : sites_.all())
    if (record.live)
      armed.push_back(record.displaced.site);
  return armed;
}

} // namespace proberace
