#include "harness/trap/signal_prober.h"

#include "harness/base/code_pages.h"
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/code/target.h"
#include "harness/probe/refuse.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "harness/trap/departure.h"
#include "harness/trap/iretq_exit.h"
#include "harness/trap/quiescence.h"

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr Abilities kAbilities{.atomic_access = true, .on_the_thread = true};

// No armer or stepper can promise these, because a hit is a SIGTRAP taken in the process:
const Promises kTransport = Promises::all_but({
    Promise::SmallStacks,         // the kernel puts the signal's frame on the thread's stack
    Promise::SigtrapMayBeBlocked, // a blocked SIGTRAP that int3 raises is a forced kill (force_sig_info)
    Promise::SigtrapMayBeTaken,   // the last sigaction wins
    Promise::AnyThreadPointer,    // the handler finds its thread's record through fs
    Promise::VforkSafe,           // posix_spawn's child resets SIGTRAP; CLONE_VM's uses its parent's record
    Promise::UnmappingSafe,       // a page that is moved takes its int3 along, to where no site is known
    Promise::RseqIntact, // delivering a signal aborts the sequence: the handler sees the abort address
});

// Signals land in the handler: theirs see its PC, or leave it by siglongjmp before the hit is counted. The
// kernel is never asked to put an SS_AUTODISARM alternate stack back.
const Promises kByIretq =
    Promises::all_but({Promise::SignalsSeeOriginalPc, Promise::HandlersMayJump, Promise::AltstackKept});

std::uint8_t original_byte(const SiteRecord& record) {
  return record.displaced().instruction.bytes[0];
}

bool byte_is(Address at, std::uint8_t wanted) {
  std::uint8_t byte = 0;
  return read_code(at, {&byte, 1}) && byte == wanted;
}

} // namespace

SignalProber::SignalProber(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper, WayOut way_out)
    : armer_(std::move(armer)), stepper_(std::move(stepper)), way_out_(way_out) {}

SignalProber::~SignalProber() {
  // A thread that did not leave may still be inside: the memory stays for it.
  if (session_ && !close())
    (void)session_.release();
}

std::string SignalProber::name() const {
  return fmt::format("{}{}+{}", way_out_ == WayOut::Iretq ? "signal/iretq:" : "", armer_->name(),
                     stepper_->name());
}

Promises SignalProber::promises() const {
  const Promises both = armer_->promises() & stepper_->promises() & kTransport;
  if (way_out_ != WayOut::Iretq)
    return both;
  return both & kByIretq &
         (stepper_->writes_below_the_frames() ? Promises::all_but({Promise::Reentrant}) : Promises::all());
}

Facts SignalProber::facts() const {
  Facts both = armer_->facts() & stepper_->facts();
  both.gives_pages_back = both.gives_pages_back && !stepper_->writes_the_site();
  return both;
}

Status SignalProber::open(const Target& target) {
  const schedule::Lock lock(mutex_);
  if (session_)
    return refuse::already_open();
  if (const Status registered = register_membarriers(); !registered)
    return registered;
  if (const Status opened = armer_->open(code_); !opened)
    return opened;
  auto session = std::make_unique<SignalSession>(*stepper_, way_out_);
  // The last that can fail: once traps come to the handler, the session cannot be taken away at once (H92).
  if (const Status installed = install_signal_session(*session); !installed) {
    armer_->close();
    return installed;
  }
  target_ = &target;
  admission_ = std::make_unique<Admission>(target);
  session_ = std::move(session);
  return {};
}

Status SignalProber::close() {
  const schedule::Lock lock(mutex_);
  if (!session_)
    return refuse::not_open();
  std::vector<Site> armed;
  for (const auto& [address, record] : armed_)
    armed.push_back(record->displaced().site);
  SiteResults removals = remove_locked(armed);
  for (const Status& removed : removals)
    // A probe that is gone is removed.
    if (!removed && removed.error().kind != ErrorKind::StaleSite)
      return removed;
  if (const Status left = wait_until_all_left(kGraceTimeout); !left)
    return left;
  if (const Status given = restore_sigtrap_when_left(); !given)
    return given;
  stepper_->give_back();
  end_signal_session();
  armer_->close();
  records_.clear();
  session_.reset();
  slots_.release_all();
  admission_.reset();
  target_ = nullptr;
  return {};
}

// Nobody hits any more. But while SIGTRAP is ours, traps of the program's own come to the handler, too, and some may be
// on their way when it is given back (H92).
Status SignalProber::restore_sigtrap_when_left() {
  schedule::point("close.left", {});
  restore_sigtrap(*session_);
  const Status left = wait_until_all_left(kGraceTimeout);
  if (left)
    return {};
  if (const Status taken = take_sigtrap(*session_); !taken)
    return taken;
  return left;
}

Status SignalProber::wait_until_all_left(std::chrono::milliseconds timeout) const {
  const OurCode ours{
      [this](Address pc) { return slots_.contains(pc) || stepper_->runs_at(pc) || runs_iretq_handler(pc); },
      way_out_ == WayOut::Iretq ? iretq_handler_return() : Address{}};
  return wait_for_departure(session_->threads, ours, timeout);
}

// After the last removal the target's own memory, where hits changed it, becomes again what it was, once
// every thread has left it. A thread that does not leave soon leaves a residue, until a later removal or
// close finds that it has left.
void SignalProber::give_back_when_left() {
  constexpr std::chrono::milliseconds kPatience{20};
  if (armed_.empty() && stepper_->holds_target_memory() && wait_until_all_left(kPatience))
    stepper_->give_back();
}

SiteRecord* SignalProber::live_record(const Site& site) const {
  const auto it = armed_.find(site.address);
  return it != armed_.end() ? it->second : nullptr;
}

std::expected<SiteRecord*, Error> SignalProber::prepare(const AddressSpace& space, const Site& site) {
  const SiteRecord* const live = live_record(site);
  if (live != nullptr && live->displaced().site == site)
    return refuse::already_armed(site.address);
  const auto instruction = admission_->admit(space, site);
  if (!instruction)
    return std::unexpected(instruction.error());
  return record_for(site, *instruction);
}

// The site's earlier record if its bytes are still the same (slots are immutable per site and bytes); else a
// new one.
std::expected<SiteRecord*, Error> SignalProber::record_for(const Site& site, const Instruction& instruction) {
  if (const auto known = records_.find(site);
      known != records_.end() && known->second->displaced().instruction.bytes == instruction.bytes)
    return known->second;
  auto plan = stepper_->plan(instruction, slots_, kAbilities);
  if (!plan)
    return std::unexpected(plan.error());
  SiteRecord* record = session_->table.add(Displaced{site, instruction, std::move(*plan)});
  if (record == nullptr)
    return refuse::too_many_sites(site.address, SiteTable::kCapacity);
  records_[site] = record;
  session_->threads.sites_in_use(record->index() + 1);
  return record;
}

SiteResults SignalProber::insert(std::span<const Site> sites) {
  const schedule::Lock lock(mutex_);
  if (!session_)
    return SiteResults(sites.size(), refuse::not_open());
  const CodeBatch one_file;
  if (const Status usable = one_file.usable(); !usable)
    return SiteResults(sites.size(), usable);
  const AddressSpace space = target_->address_space();
  admission_->begin_batch();
  SiteBatch batch(sites.size());
  for (const Site& site : sites) {
    const auto record = prepare(space, site);
    if (!record) {
      batch.refuse(std::unexpected(record.error()));
      continue;
    }
    const ByteWrite write{site.address, original_byte(**record), {}};
    armed_[site.address] = *record;
    target_->site_taken(site.address, {&write.original, 1}, {&kInt3, 1},
                        armer_->replaces_pages() ? space.find(site.address) : nullptr);
    schedule::point("insert.publish", site.address);
    // Before its int3 can be seen (H18).
    (*record)->set_live(true);
    batch.accept(write, *record);
  }
  arm(space, batch);
  return batch.results();
}

// True once the int3 is seen in memory (H64). A stepper that puts the original byte back for a step
// (in-place) hides it for some microseconds, so one look is not enough.
bool SignalProber::seen_armed(Address at) const {
  constexpr int kLooks = 1000;
  for (int look = 0; look < kLooks; ++look)
    if (byte_is(at, kInt3))
      return true;
  return false;
}

// Arms the sites that were prepared. A site that does not take effect is forgotten and refused: the code that
// lies there belongs to somebody else, and we must not write to it (H15).
void SignalProber::arm(const AddressSpace& space, SiteBatch& batch) {
  if (batch.empty())
    return;
  const Status slots_written = slots_.flush();
  if (slots_written)
    armer_->arm(space, batch.writes());
  schedule::point("insert.verify", batch.writes()[0].address);
  CodePages seen(&read_code);
  for (const auto& site : batch.accepted()) {
    const Address at = site.write.address;
    if (!slots_written)
      site.refuse(Error{slots_written.error().kind, at, slots_written.error().message});
    else if (site.write.error)
      site.refuse(*site.write.error);
    else if (!seen.holds(at, {&kInt3, 1}) && !seen_armed(at))
      site.refuse(refuse::not_taking_effect(at)); // H64
    else
      continue;
    site.item->set_live(false);
    armed_.erase(at);
    target_->site_returned(at);
  }
}

SiteResults SignalProber::remove(std::span<const Site> sites) {
  const schedule::Lock lock(mutex_);
  if (!session_)
    return SiteResults(sites.size(), refuse::not_open());
  return remove_locked(sites);
}

SiteResults SignalProber::remove_locked(std::span<const Site> sites) {
  const CodeBatch one_file;
  if (const Status usable = one_file.usable(); !usable)
    return SiteResults(sites.size(), usable);
  CodePages seen(&read_code);
  SiteBatch batch(sites.size());
  // A site that is named twice is not armed the second time.
  std::vector<bool> named(session_->table.records().size());
  for (const Site& site : sites) {
    SiteRecord* const record = live_record(site);
    if (record == nullptr || record->displaced().site != site || named[record->index()]) {
      batch.refuse(refuse::not_armed(site.address));
    } else if (!seen.holds(site.address, {&kInt3, 1}) && !seen_armed(site.address)) {
      // The code that lies here now is not ours to write to (H15).
      record->set_live(false);
      armed_.erase(site.address);
      target_->site_returned(site.address);
      batch.refuse(refuse::gone(site.address));
    } else {
      named[record->index()] = true;
      batch.accept({site.address, original_byte(*record), {}}, record);
    }
  }
  disarm(batch);
  return batch.results();
}

void SignalProber::disarm(SiteBatch& batch) {
  if (batch.empty())
    return;
  armer_->disarm(batch.writes());
  for (const auto& site : batch.accepted()) {
    const ByteWrite& done = site.write;
    // With any other error its int3 is still there: it is still armed.
    if (!done.error || done.error->kind == ErrorKind::StaleSite) {
      schedule::point("remove.dead", done.address);
      // Only now: the int3 cannot be seen any more (H18).
      site.item->set_live(false);
      // Only now, too: the code that erases may itself have been probed, and is fast again.
      armed_.erase(done.address);
      target_->site_returned(done.address);
    }
    if (done.error)
      site.refuse(*done.error);
  }
  schedule::point("remove.quiesce", batch.writes()[0].address);
  if (const Status quiet = quiesce(session_->threads); !quiet)
    for (const auto& site : batch.accepted())
      site.refuse(quiet.error());
  restore_until_quiet(batch.writes());
  give_back_when_left();
}

// A stepper that writes the site itself (in-place) may have put an int3 back between disarm and quiescence.
// No passage that saw the site live is left now, so the byte that is written here stays.
void SignalProber::restore_until_quiet(std::span<const ByteWrite> writes) {
  schedule::point("remove.restore", writes[0].address);
  bool wrote = false;
  CodePages seen(&read_code);
  for (const ByteWrite& write : writes)
    if (!write.error && seen.holds(write.address, {&kInt3, 1}))
      wrote |= write_code(write.address, {&write.original, 1}) == 0;
  if (wrote)
    serialise_cores();
}

std::uint64_t SignalProber::hits(const Site& site) const {
  const schedule::Lock lock(mutex_);
  const auto it = records_.find(site);
  return session_ && it != records_.end() ? session_->threads.total(it->second->index()) : 0;
}

std::expected<std::uint64_t, Error> SignalProber::hits(const Site& site, pid_t thread) const {
  const schedule::Lock lock(mutex_);
  const auto it = records_.find(site);
  return session_ && it != records_.end() ? session_->threads.of_thread(it->second->index(), thread) : 0;
}

std::string_view SignalProber::way(const Site& site) const {
  const schedule::Lock lock(mutex_);
  const SiteRecord* const record = live_record(site);
  if (record == nullptr || record->displaced().site != site || record->displaced().plan == nullptr)
    return {};
  return proberace::name(record->displaced().plan->end());
}

Status SignalProber::set_handler(HitHandler handler, void* argument) {
  const schedule::Lock lock(mutex_);
  if (!session_)
    return refuse::not_open();
  if (!armed_.empty())
    return refuse::still_armed(armed_.begin()->first);
  session_->handler = handler;
  session_->handler_argument = argument;
  return {};
}

Footprint SignalProber::footprint() const {
  const schedule::Lock lock(mutex_);
  Footprint all = armer_->footprint();
  all += stepper_->footprint();
  if (!session_)
    return all;
  Footprint own;
  own.mappings = static_cast<std::int64_t>(slots_.pages() + session_->threads.size() + 1);
  own.mapped_bytes =
      static_cast<std::int64_t>(slots_.pages() * kPageBytes + session_->threads.mapped_bytes());
  own.slots = static_cast<std::int64_t>(slots_.slots());
  own.signal_handlers = 1;
  for (const auto& [site, record] : records_)
    if (!record->live() && record->displaced().plan != nullptr)
      ++own.residue_slots;
  all += own;
  return all;
}

PathCounts SignalProber::paths() const {
  const schedule::Lock lock(mutex_);
  PathCounts counts;
  if (session_)
    for (std::size_t i = 0; i < kPathCount; ++i)
      counts.taken[i] = session_->threads.total(static_cast<Path>(i));
  return counts;
}

} // namespace proberace

namespace {

// A stepper writes a site's byte through /proc/self/mem, which takes no shared memory.
bool work_together(const proberace::Armer& armer, const proberace::Stepper& stepper) {
  return !stepper.writes_the_site() || armer.promises().has(proberace::Promise::FileBackedText);
}

const bool registered = proberace::register_transport(
    "signal", "SIGTRAP handler in the process",
    [](std::unique_ptr<proberace::Armer> armer, std::unique_ptr<proberace::Stepper> stepper) {
      return std::make_unique<proberace::SignalProber>(std::move(armer), std::move(stepper));
    },
    &work_together);
const bool registered_iretq = proberace::register_transport(
    "signal/iretq", "the same, leaving the handler by iretq instead of sigreturn",
    [](std::unique_ptr<proberace::Armer> armer, std::unique_ptr<proberace::Stepper> stepper) {
      return std::make_unique<proberace::SignalProber>(std::move(armer), std::move(stepper),
                                                       proberace::WayOut::Iretq);
    },
    &work_together);
} // namespace
