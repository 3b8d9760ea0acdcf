// jump: no trap. The site becomes a jump to a trampoline that counts, has the effect of the displaced
// instruction, and jumps back.
//
// Idea: a hit costs a few nanoseconds, because the kernel has no part in it; the kernel's own optimised
// kprobes do the same (Documentation/trace/kprobes.rst, "How Does Jump Optimization Work?"). Trade-off: it
// takes only sites into which a jump or a pun fits, and signals and faults see a PC in added mappings. It
// needs SIGTRAP for the microseconds of an insertion or removal: a thread that meets the site just then with
// SIGTRAP blocked is killed, so that is not promised. Read jump_patch.h, trampoline.h, jump_writer.h,
// jump_ledger.h.
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/code/admission.h"
#include "harness/probe/batch.h"
#include "harness/probe/refuse.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "harness/trap/departure.h"
#include "strategies/whole/jump_ledger.h"
#include "strategies/whole/jump_sites.h"
#include "strategies/whole/jump_writer.h"
#include "strategies/whole/trampoline.h"

namespace proberace {

namespace {

// A site that was armed at least once.
struct Probed {
  JumpSite* site = nullptr; // the newest of its kind
  JumpLedger ledger;
};

// The value that a thread with a record finds in a trampoline's mode word.
std::uint32_t mode_of(const JumpSession& session) {
  return static_cast<std::uint32_t>(session.threads.session());
}

class JumpProber final : public Prober {
public:
  // If a thread does not leave, the code in which it may be stays mapped for it.
  ~JumpProber() override {
    if (session_ && !close()) {
      (void)session_.release();
      sites_.abandon();
    }
  }

  std::string name() const override { return "jump"; }

  // SigtrapMayBeBlocked, VforkSafe: an int3 is there while a site is patched. SmallStacks: the slow way keeps
  // registers on the stack. AnyThreadPointer: counters are found through fs. UnmappingSafe: text that is
  // moved takes its jump along. ProbesInOwnPath, RseqIntact: there is no mechanism. AnyFlags: with TF set the
  // program sees steps in the trampoline.
  Promises promises() const override {
    return Promises::all_but({Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc,
                              Promise::NoAddedMapping, Promise::AnyFlags, Promise::SmallStacks,
                              Promise::SigtrapMayBeBlocked, Promise::AnyThreadPointer, Promise::VforkSafe,
                              Promise::UnmappingSafe, Promise::RseqIntact, Promise::ProbesInOwnPath});
  }
  Facts facts() const override {
    return {.paths = {Path::Trampoline}, .traps = Traps::NoHit, .selective = true};
  }

  Status open(const Target& target) override {
    const schedule::Lock lock(mutex_);
    if (session_)
      return refuse::already_open();
    if (const Status registered = register_membarriers(); !registered)
      return registered;
    if (const Status prepared = prepare_slow_path(); !prepared)
      return prepared;
    auto session = std::make_unique<JumpSession>();
    if (const Status begun = begin_jump_session(*session); !begun)
      return begun;
    if (const Status taken = take_sigtrap(); !taken) {
      end_jump_session();
      return taken;
    }
    target_ = &target;
    admission_ = std::make_unique<Admission>(target);
    session_ = std::move(session);
    return sites_.trampolines().set_mode(mode_of(*session_));
  }

  Status close() override {
    const schedule::Lock lock(mutex_);
    if (!session_)
      return refuse::not_open();
    std::vector<Site> armed;
    for (const auto& [address, probed] : armed_)
      armed.push_back(probed->site->site);
    for (const Status& removed : remove_locked(armed))
      // A probe that is gone is removed.
      if (!removed && removed.error().kind != ErrorKind::StaleSite)
        return removed;
    if (const Status left = wait_until_all_left(); !left)
      return left;
    schedule::point("jump.left", {});
    give_sigtrap_back();
    end_jump_session();
    // Traps of the program's own may have been on their way to the handler (H92). Later ones, which a program's handler
    // passes to it, find no session.
    if (const Status left = wait_until_all_left(); !left) {
      (void)begin_jump_session(*session_);
      return left;
    }
    sites_.release_all();
    probed_.clear();
    touched_pages_.clear();
    session_.reset();
    admission_.reset();
    target_ = nullptr;
    return {};
  }

  SiteResults insert(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    if (!session_)
      return SiteResults(sites.size(), refuse::not_open());
    if (const Status taken = take_sigtrap(); !taken)
      return SiteResults(sites.size(), taken);
    const CodeBatch one_file;
    if (const Status usable = one_file.usable(); !usable)
      return SiteResults(sites.size(), usable);
    const AddressSpace space = target_->address_space();
    admission_->begin_batch();
    CodePages before(&read_memory);
    const CodeView view{*target_, space, before};
    Batch<PatchWrite, Probed*> batch(sites.size());
    for (const Site& site : sites) {
      const auto probed = prepare(view, site);
      if (!probed) {
        batch.refuse(std::unexpected(probed.error()));
        continue;
      }
      begin(**probed);
      batch.accept({(*probed)->site}, *probed);
    }
    if (const Status trampolines = sites_.trampolines().flush(); !trampolines)
      for (PatchWrite& w : batch.writes())
        w.error = Error{trampolines.error().kind, w.site->site.address, trampolines.error().message};
    else if (!batch.empty())
      write_jumps(batch.writes());
    CodePages after(&read_memory);
    for (const auto& site : batch.accepted()) {
      if (site.write.error)
        site.refuse(*site.write.error);
      else if (!jump_is_there(after, *site.write.site))
        site.refuse(refuse::not_taking_effect(site.write.site->site.address, "the jump")); // H64
      else
        continue;
      end(*site.item);
    }
    return batch.results();
  }

  SiteResults remove(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    return session_ ? remove_locked(sites) : SiteResults(sites.size(), refuse::not_open());
  }

  std::uint64_t hits(const Site& site) const override {
    const schedule::Lock lock(mutex_);
    const auto it = probed_.find(site);
    return it != probed_.end() ? total(it->second) : 0;
  }

  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override {
    const schedule::Lock lock(mutex_);
    const auto it = probed_.find(site);
    return it != probed_.end() ? it->second.ledger.of_thread(counters_of(it->second), thread) : 0;
  }

  std::string_view way(const Site& site) const override {
    const schedule::Lock lock(mutex_);
    const auto it = armed_.find(site.address);
    return it != armed_.end() && it->second->site->site == site ? name_of(it->second->site->patch.kind)
                                                                : std::string_view();
  }

  Status set_handler(HitHandler handler, void* argument) override {
    const schedule::Lock lock(mutex_);
    if (!session_)
      return refuse::not_open();
    if (!armed_.empty())
      return refuse::still_armed(armed_.begin()->first);
    session_->handler = handler;
    session_->handler_argument = argument;
    return sites_.trampolines().set_mode(handler != nullptr ? kCallHandler : mode_of(*session_));
  }

  Footprint footprint() const override {
    const schedule::Lock lock(mutex_);
    Footprint f;
    if (!session_)
      return f;
    f.mappings = static_cast<std::int64_t>(sites_.trampolines().pages() + session_->threads.size() + 1);
    f.mapped_bytes = static_cast<std::int64_t>(sites_.trampolines().pages() * kPageBytes +
                                               session_->threads.mapped_bytes());
    f.private_pages = static_cast<std::int64_t>(touched_pages_.size());
    f.slots = static_cast<std::int64_t>(sites_.size());
    f.residue_slots = static_cast<std::int64_t>(sites_.size() - armed_.size());
    f.signal_handlers = 1;
    return f;
  }

  PathCounts paths() const override {
    const schedule::Lock lock(mutex_);
    PathCounts counts;
    if (!session_)
      return counts;
    for (std::size_t i = 0; i < kPathCount; ++i)
      counts.taken[i] = session_->threads.total(static_cast<Path>(i));
    for (const auto& [site, probed] : probed_)
      counts.taken[static_cast<std::size_t>(Path::Trampoline)] += total(probed);
    return counts;
  }

private:
  Status wait_until_all_left() const {
    return wait_for_departure(
        session_->threads,
        {[this](Address a) { return sites_.runs_at(a) || runs_slow_path(a); }, slow_path_return()});
  }

  std::expected<Probed*, Error> prepare(const CodeView& view, const Site& site) {
    const auto live = armed_.find(site.address);
    if (live != armed_.end() && live->second->site->site == site)
      return refuse::already_armed(site.address);
    const auto instruction = admission_->admit(view.space, site);
    if (!instruction)
      return std::unexpected(instruction.error());
    Probed& probed = probed_[site];
    if (probed.site != nullptr && probed.site->instruction.bytes == instruction->bytes &&
        can_be_armed(view, *probed.site))
      return &probed;
    const auto index = probed.site != nullptr ? std::optional(probed.site->index) : std::nullopt;
    const auto made = sites_.make(*session_, view, site, *instruction, index);
    if (!made) {
      if (!index)
        probed_.erase(site);
      return std::unexpected(made.error());
    }
    probed.site = *made;
    return &probed;
  }

  void begin(Probed& probed) {
    JumpSite& s = *probed.site;
    probed.ledger.begin(counters_of(probed));
    schedule::point("jump.live", s.site.address);
    // Pairs with proberace_trampoline_hit.
    s.live.store(true, std::memory_order_release);
    armed_[s.site.address] = &probed;
    const std::span patched = std::span(s.patch.bytes).first(s.patch.extent);
    // The bytes behind those that are written stay the same.
    std::array<std::uint8_t, kMaxPatchBytes> original{};
    std::ranges::copy(patched, original.begin());
    std::ranges::copy(s.instruction.code().first(s.patch.written), original.begin());
    target_->site_taken(s.site.address, std::span(original).first(patched.size()), patched);
    touched_pages_.insert(page_of(s.site.address));
    touched_pages_.insert(page_of(s.site.address + (s.patch.written - 1)));
    if (s.patch.springboard != Address{})
      touched_pages_.insert(page_of(s.patch.springboard));
  }

  // Precondition: the original bytes are back and cores have serialised, or the jump is not there.
  void end(Probed& probed) {
    JumpSite& s = *probed.site;
    // Pairs with proberace_trampoline_hit.
    s.live.store(false, std::memory_order_release);
    armed_.erase(s.site.address);
    target_->site_returned(s.site.address);
    probed.ledger.end(counters_of(probed));
  }

  SiteResults remove_locked(std::span<const Site> sites) {
    const CodeBatch one_file;
    if (const Status usable = one_file.usable(); !usable)
      return SiteResults(sites.size(), usable);
    Batch<PatchWrite, Probed*> batch(sites.size());
    // A site that is named twice is not armed the second time.
    std::set<Address> named;
    CodePages now(&read_code);
    for (const Site& site : sites) {
      const auto it = armed_.find(site.address);
      if (it == armed_.end() || it->second->site->site != site || !named.insert(site.address).second) {
        batch.refuse(refuse::not_armed(site.address));
      } else if (!site_is_ours(now, *it->second->site)) {
        // The code that lies here now is not ours to write to (H15).
        take_springboard_back(*it->second->site);
        end(*it->second);
        batch.refuse(refuse::gone(site.address));
      } else {
        batch.accept({it->second->site}, it->second);
      }
    }
    if (!batch.empty()) {
      (void)take_sigtrap();
      write_originals(batch.writes());
      schedule::point("jump.dead", batch.writes()[0].site->site.address);
      // Pairs with proberace_trampoline_hit.
      for (PatchWrite& w : batch.writes())
        if (!w.error)
          w.site->live.store(false, std::memory_order_release);
    }
    schedule::point("jump.quiesce");
    const Status quiet = batch.empty() ? Status{} : quiesce(session_->threads);
    for (const auto& site : batch.accepted()) {
      if (site.write.error) {
        site.refuse(*site.write.error);
        continue;
      }
      end(*site.item);
      if (!quiet)
        site.refuse(quiet.error());
    }
    return batch.results();
  }

  JumpLedger::Counts counters_of(const Probed& probed) const {
    return session_->threads.by_thread(probed.site->index);
  }
  std::uint64_t total(const Probed& probed) const { return probed.ledger.total(counters_of(probed)); }

  mutable std::mutex mutex_; // control operations only; no hit takes it
  const Target* target_ = nullptr;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<JumpSession> session_;
  JumpSites sites_;
  std::map<Site, Probed> probed_;
  std::map<Address, Probed*> armed_;
  std::set<Address> touched_pages_;
};

const bool registered = register_whole("jump", "a jump to a trampoline, or a pun of one: no trap",
                                       [] { return std::make_unique<JumpProber>(); });

} // namespace

} // namespace proberace
