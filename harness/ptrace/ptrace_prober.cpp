#include "harness/ptrace/ptrace_prober.h"

#include "harness/base/failure.h"
#include "harness/base/threads.h"
#include "harness/code/target.h"
#include "harness/probe/refuse.h"
#include "harness/probe/registry.h"
#include "harness/ptrace/supervisor_process.h"

#include <algorithm>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace proberace {

PtraceProber::PtraceProber(std::unique_ptr<Armer> armer, std::unique_ptr<Stepper> stepper)
    : armer_(std::move(armer)), stepper_(std::move(stepper)) {}

PtraceProber::~PtraceProber() {
  if (is_open())
    (void)close();
  // In a forked child, the relay's thread is the parent's.
  if (owner_ != ::getpid())
    (void)relay_.release();
}

std::string PtraceProber::name() const {
  return fmt::format("ptrace:{}+{}", armer_->name(), stepper_->name());
}

Promises PtraceProber::promises() const {
  Promises parts = armer_->promises() & stepper_->promises();
  // The supervisor moves the PC of a fault in a slot to the program's own code (trap_stops.cpp). It does not know the
  // slots of a stepper that states no paths.
  if (stepper_->facts().paths.only({Path::SlotStep, Path::SlotJump, Path::InPlaceStep, Path::Emulated}))
    parts = parts.with({Promise::FaultsSeeOriginalPc});
  return parts & Promises::all_but({Promise::SyscallsUndisturbed, Promise::SigtrapMayBeBlocked,
                                    Promise::RseqIntact, Promise::HelperMayDie, Promise::UnmappingSafe,
                                    Promise::Reentrant, Promise::ChangesTakeEffect});
}

Facts PtraceProber::facts() const {
  return armer_->facts() & stepper_->facts() & Facts{.handled_by = HandledBy::Supervisor};
}

// Asked before the lock is taken: in a forked child, another thread of the parent may have held it.
bool PtraceProber::is_anothers() const noexcept {
  return owner_ != ::getpid();
}

bool PtraceProber::is_open() const noexcept {
  return target_ != nullptr && owner_ == ::getpid();
}

Status PtraceProber::ask(Order order) const {
  Command& command = channel_.command();
  command.order = order;
  if (order != Order::ThreadHits)
    command.thread = current_thread();
  if (const Status done = order == Order::Close ? channel_.carry_out_last() : channel_.carry_out(); !done)
    return done;
  return command.error.get();
}

Status PtraceProber::open(const Target& target) {
  const std::lock_guard lock(mutex_);
  if (is_open())
    return refuse::already_open();
  if (target.process() != 0)
    return failure(ErrorKind::Unsupported, "a prober probes its own process; another one: proberace run");
  // In a forked child, the channel is a copy of the parent's, and the relay's thread is the parent's.
  channel_.close();
  (void)relay_.release();
  const auto socket = channel_.open();
  if (!socket)
    return std::unexpected(socket.error());
  const Status started = start_supervisor(channel_.command(), *socket, *armer_, *stepper_);
  ::close(*socket);
  Status attached = started;
  if (started && channel_.await_turn()) {
    // For kernels where Yama restricts tracing; on others the call fails.
    ::prctl(PR_SET_PTRACER, channel_.command().supervisor, 0, 0, 0);
    attached = ask(Order::Attach);
  }
  if (!attached) {
    channel_.close();
    return attached;
  }
  owner_ = ::getpid();
  target_ = &target;
  admission_ = std::make_unique<Admission>(target);
  relay_ = std::make_unique<TurnRelay>(channel_);
  return {};
}

Status PtraceProber::close() {
  if (is_anothers())
    return refuse::not_open();
  const std::lock_guard lock(mutex_);
  if (!is_open())
    return refuse::not_open();
  std::vector<Site> armed;
  for (const auto& [address, site] : armed_)
    armed.push_back(site);
  for (const Status& removed : remove_locked(armed))
    if (!removed)
      return removed;
  if (const Status detached = ask(Order::Close); !detached)
    return detached;

  relay_.reset();
  channel_.close();
  ::prctl(PR_SET_PTRACER, 0, 0, 0, 0);
  admission_.reset();
  target_ = nullptr;
  return {};
}

std::expected<Instruction, Error> PtraceProber::prepare(const AddressSpace& space, const Site& site) {
  const auto live = armed_.find(site.address);
  if (live != armed_.end() && live->second == site)
    return refuse::already_armed(site.address);
  return admission_->admit(space, site);
}

void PtraceProber::carry_out(Order order, Batch<CommandSite>& batch) {
  for (std::span<CommandSite> rest = batch.writes(); !rest.empty();) {
    const auto portion = rest.first(std::min(rest.size(), Command::kSites));
    Command& command = channel_.command();
    command.count = static_cast<std::uint32_t>(portion.size());
    std::ranges::copy(portion, command.sites);
    const Status done = ask(order);
    for (std::size_t i = 0; i < portion.size(); ++i)
      if (done)
        portion[i].error = command.sites[i].error;
      else
        portion[i].error.set(done);
    rest = rest.subspan(portion.size());
  }
  for (const auto& site : batch.accepted())
    if (const Status done = site.write.error.get(); !done)
      site.refuse(done.error());
}

SiteResults PtraceProber::insert(std::span<const Site> sites) {
  if (is_anothers())
    return SiteResults(sites.size(), refuse::not_open());
  const std::lock_guard lock(mutex_);
  if (!is_open())
    return SiteResults(sites.size(), refuse::not_open());
  const AddressSpace space = target_->address_space();
  admission_->begin_batch();
  Batch<CommandSite> batch(sites.size());
  for (const Site& site : sites) {
    const auto instruction = prepare(space, site);
    if (!instruction) {
      batch.refuse(std::unexpected(instruction.error()));
      continue;
    }
    // Now, for the rest of the batch.
    armed_[site.address] = site;
    target_->site_taken(site.address, instruction->code().first(1), {&kInt3, 1});
    batch.accept({site, instruction->bytes, instruction->length, {}});
  }
  carry_out(Order::Arm, batch);
  for (const CommandSite& asked : batch.writes())
    if (asked.error.failed)
      forget(asked.site.address);
  return batch.results();
}

SiteResults PtraceProber::remove(std::span<const Site> sites) {
  if (is_anothers())
    return SiteResults(sites.size(), refuse::not_open());
  const std::lock_guard lock(mutex_);
  if (!is_open())
    return SiteResults(sites.size(), refuse::not_open());
  return remove_locked(sites);
}

SiteResults PtraceProber::remove_locked(std::span<const Site> sites) {
  Batch<CommandSite> batch(sites.size());
  for (const Site& site : sites)
    batch.accept({site, {}, 0, {}});
  carry_out(Order::Disarm, batch);
  for (const auto& removed : batch.accepted())
    forget(removed.write.site.address);
  return batch.results();
}

void PtraceProber::forget(Address site) {
  armed_.erase(site);
  target_->site_returned(site);
}

std::uint64_t PtraceProber::hits(const Site& site) const {
  if (is_anothers())
    return 0;
  const std::lock_guard lock(mutex_);
  if (!is_open())
    return 0;
  channel_.command().sites[0].site = site;
  return ask(Order::Hits) ? channel_.command().hits : 0;
}

std::expected<std::uint64_t, Error> PtraceProber::hits(const Site& site, pid_t thread) const {
  if (is_anothers())
    return 0;
  const std::lock_guard lock(mutex_);
  if (!is_open())
    return 0;
  channel_.command().sites[0].site = site;
  channel_.command().thread = thread;
  if (const Status asked = ask(Order::ThreadHits); !asked)
    return std::unexpected(asked.error());
  return channel_.command().hits;
}

Status PtraceProber::set_handler(HitHandler handler, void*) {
  if (handler == nullptr)
    return {};
  return failure(ErrorKind::Unsupported,
                 "hits taken by a supervisor never reach the program: no handler can run");
}

Footprint PtraceProber::footprint() const {
  const std::lock_guard lock(mutex_);
  Footprint all;
  if (!is_open() || !ask(Order::Footprint))
    return all;
  all = channel_.command().footprint;
  all.mappings += 1;
  all.mapped_bytes += static_cast<std::int64_t>(sizeof(Command));
  all.descriptors += 1;
  return all;
}

PathCounts PtraceProber::paths() const {
  const std::lock_guard lock(mutex_);
  return is_open() && ask(Order::Paths) ? channel_.command().paths : PathCounts{};
}

} // namespace proberace

namespace {
const bool registered = proberace::register_transport(
    "ptrace", "a supervisor process that traces the program's threads",
    [](std::unique_ptr<proberace::Armer> armer, std::unique_ptr<proberace::Stepper> stepper) {
      return std::make_unique<proberace::PtraceProber>(std::move(armer), std::move(stepper));
    },
    [](const proberace::Armer& armer, const proberace::Stepper& stepper) {
      return armer.works_from_outside() && !stepper.needs_the_thread();
    });
} // namespace
