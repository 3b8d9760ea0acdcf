// jump: no trap. The site becomes a jump to a trampoline that counts, does what the displaced instruction
// did, and jumps back.
//
// Idea: a hit costs a few nanoseconds, because the kernel has no part in it; the kernel's own optimised
// kprobes do the same (Documentation/trace/kprobes.rst, "How Does Jump Optimization Work?"). Trade-off: only
// what a jump or a pun fits into, code in added mappings that signals and faults see as their PC, and SIGTRAP
// is needed for the microseconds of an insertion or removal: a thread that meets the site just then with
// SIGTRAP blocked is killed, so that is not promised. Read jump_patch.h, trampoline.h, jump_writer.h.
//
// A thread may have left the site before its removal and count after it. So the count is frozen at removal:
// what comes late is left out, for good.
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/probe/admission.h"
#include "harness/probe/registry.h"
#include "strategies/whole/jump_departure.h"
#include "strategies/whole/jump_patch.h"
#include "strategies/whole/jump_writer.h"
#include "strategies/whole/trampoline.h"

#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <numeric>
#include <sched.h>

namespace proberace {

namespace {

using Counts = std::map<pid_t, std::uint64_t>;

std::uint64_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t all, const auto& c) { return all + c.second; });
}

std::uint64_t of(const Counts& counts, pid_t thread) {
  const auto it = counts.find(thread);
  return it != counts.end() ? it->second : 0;
}

// What a site's counters must not say: hits that came late.
struct Ledger {
  JumpSite* site = nullptr;
  bool armed = false;
  Counts frozen{}; // the raw counts at removal
  Counts late{};
  std::uint64_t late_sum = 0;
};

std::unexpected<Error> not_open() {
  return std::unexpected(Error{ErrorKind::NotOpen, {}, "open the prober first"});
}

class JumpProber final : public Prober {
public:
  // If a thread does not leave, what it may be in stays mapped for it.
  ~JumpProber() override {
    if (session_ && !close()) {
      (void)session_.release();
      trampolines_.abandon();
      (void)new std::deque<JumpSite>(std::move(sites_)); // trampolines hold their addresses
    }
  }

  std::string name() const override { return "jump"; }

  // SigtrapMayBeBlocked, VforkSafe: int3 is there while patching. SmallStacks: the slow way keeps registers
  // on the stack. AnyThreadPointer: counters are found through fs. UnmappingSafe, ProbesInOwnPath,
  // RseqIntact: no mechanism. AnyFlags: with TF set the program sees steps in the trampoline.
  Promises promises() const override {
    return Promises::all_but({Promise::SignalsSeeOriginalPc, Promise::FaultsSeeOriginalPc,
                              Promise::NoAddedMapping, Promise::AnyFlags, Promise::SmallStacks,
                              Promise::SigtrapMayBeBlocked, Promise::AnyThreadPointer, Promise::VforkSafe,
                              Promise::UnmappingSafe, Promise::RseqIntact, Promise::ProbesInOwnPath});
  }

  Status open(const Target& target) override {
    const std::lock_guard lock(mutex_);
    if (session_)
      return std::unexpected(Error{ErrorKind::AlreadyOpen, {}, "this prober is open already"});
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
    return trampolines_.set_mode(session_->counters.epoch());
  }

  Status close() override {
    const std::lock_guard lock(mutex_);
    if (!session_)
      return not_open();
    std::vector<Site> armed;
    for (const auto& [address, ledger] : armed_)
      armed.push_back(ledger->site->site);
    for (const Status& removed : remove_locked(armed))
      if (!removed)
        return removed;
    const auto ours = [this](Address a) {
      return trampolines_.contains(a) || springboards_.contains(a) || springboards_.contains(a - 1);
    };
    if (const Status left = wait_for_jump_departure(session_->counters, ours); !left)
      return left;
    give_sigtrap_back();
    end_jump_session();
    trampolines_.release_all();
    ledgers_.clear();
    sites_.clear();
    springboards_.clear();
    touched_pages_.clear();
    session_.reset();
    admission_.reset();
    target_ = nullptr;
    return {};
  }

  SiteResults insert(std::span<const Site> sites) override {
    const std::lock_guard lock(mutex_);
    if (!session_)
      return SiteResults(sites.size(), not_open());
    if (const Status taken = take_sigtrap(); !taken)
      return SiteResults(sites.size(), taken);
    const AddressSpace space = target_->address_space();
    std::vector<std::expected<Ledger*, Error>> operations;
    std::vector<PatchWrite> batch;
    for (const Site& site : sites) {
      auto ledger = prepare(space, site);
      if (ledger) {
        begin(space, **ledger);
        batch.push_back({(*ledger)->site});
      }
      operations.push_back(std::move(ledger));
    }
    if (!batch.empty())
      write_jumps(batch);
    SiteResults results;
    auto write = batch.begin();
    for (auto& operation : operations) {
      if (!operation) {
        results.push_back(std::unexpected(operation.error()));
        continue;
      }
      PatchWrite& done = *write++;
      if (!done.error && !seen(*done.site))
        done.error = Error{ErrorKind::NotTakingEffect, done.site->site.address,
                           "the jump was written but is not there"}; // H64
      results.push_back(done.error ? Status(std::unexpected(*done.error)) : Status{});
      if (done.error)
        end(**operation);
    }
    return results;
  }

  SiteResults remove(std::span<const Site> sites) override {
    const std::lock_guard lock(mutex_);
    return session_ ? remove_locked(sites) : SiteResults(sites.size(), not_open());
  }

  std::uint64_t hits(const Site& site) const override {
    const std::lock_guard lock(mutex_);
    const auto it = ledgers_.find(site);
    return it != ledgers_.end() ? total(it->second) : 0;
  }

  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override {
    const std::lock_guard lock(mutex_);
    const auto it = ledgers_.find(site);
    if (it == ledgers_.end())
      return 0;
    const std::uint64_t raw = of(raw_counts(it->second), thread);
    return raw - std::min(raw, of(it->second.late, thread));
  }

  Status set_handler(HitHandler handler, void* argument) override {
    const std::lock_guard lock(mutex_);
    if (!session_)
      return not_open();
    if (!armed_.empty())
      return std::unexpected(
          Error{ErrorKind::AlreadyArmed, armed_.begin()->first, "remove every probe first"});
    session_->handler = handler;
    session_->handler_argument = argument;
    return trampolines_.set_mode(handler != nullptr ? kCallHandler : session_->counters.epoch());
  }

  Footprint footprint() const override {
    const std::lock_guard lock(mutex_);
    Footprint f;
    if (!session_)
      return f;
    f.mappings = static_cast<std::int64_t>(trampolines_.pages() + session_->counters.blocks() + 1);
    f.mapped_bytes =
        static_cast<std::int64_t>(trampolines_.pages() * kPageBytes + session_->counters.mapped_bytes());
    f.private_pages = static_cast<std::int64_t>(touched_pages_.size());
    f.slots = static_cast<std::int64_t>(sites_.size());
    f.residue_slots = static_cast<std::int64_t>(sites_.size() - armed_.size());
    f.signal_handlers = 1;
    return f;
  }

  PathCounts paths() const override {
    const std::lock_guard lock(mutex_);
    PathCounts counts;
    if (!session_)
      return counts;
    for (std::size_t i = 0; i < kPathCount; ++i)
      counts.taken[i] = session_->counters.total(static_cast<Path>(i));
    for (const auto& [site, ledger] : ledgers_)
      counts.taken[static_cast<std::size_t>(Path::Trampoline)] += total(ledger);
    return counts;
  }

private:
  std::expected<Ledger*, Error> prepare(const AddressSpace& space, const Site& site) {
    const auto live = armed_.find(site.address);
    if (live != armed_.end() && live->second->site->site == site)
      return std::unexpected(
          Error{ErrorKind::AlreadyArmed, site.address, "a probe of this prober is here already"});
    const auto instruction = admission_->admit(
        space, site, [this](Address from, std::span<std::uint8_t> b) { put_originals_back(from, b); });
    if (!instruction)
      return std::unexpected(instruction.error());
    if (live != armed_.end())
      return std::unexpected(
          Error{ErrorKind::Conflict, site.address,
                "a probe of the code that lay here before is still armed: remove it first"});
    Ledger& ledger = ledgers_[site];
    if (ledger.site != nullptr && ledger.site->instruction.bytes == instruction->bytes &&
        still_spelled(*ledger.site)) {
      const auto end =
          site.address + std::max<std::ptrdiff_t>(ledger.site->patch.extent, instruction->length);
      if (!patched_.overlaps(site.address, end))
        return &ledger;
    }
    const auto made = make_site(space, site, *instruction);
    if (!made) {
      if (ledger.site == nullptr)
        ledgers_.erase(site);
      return std::unexpected(made.error());
    }
    if (ledger.site != nullptr)
      (*made)->index = ledger.site->index;
    ledger.site = *made;
    return &ledger;
  }

  std::expected<JumpSite*, Error> make_site(const AddressSpace& space, const Site& site,
                                            const Instruction& instruction) {
    if (patched_.overlaps(site.address, site.address + instruction.length))
      return std::unexpected(Error{ErrorKind::Conflict, site.address,
                                   "these bytes are part of another site's jump: remove that probe first"});
    if (sites_.size() == kMaxJumpSites)
      return std::unexpected(
          Error{ErrorKind::NoRoom, site.address,
                fmt::format("a prober holds at most {} sites between open and close", kMaxJumpSites)});
    JumpSite& made = sites_.emplace_back();
    made.site = site;
    made.instruction = instruction;
    const auto known = ledgers_.find(site); // counts go on where they were
    made.index = known != ledgers_.end() && known->second.site != nullptr
                     ? known->second.site->index
                     : static_cast<std::uint32_t>(sites_.size() - 1);
    Status built = build_trampoline(trampolines_, made);
    if (built) {
      auto patch = choose_patch({*target_, space, patched_, trampolines_, springboards_}, made);
      if (patch)
        made.patch = *patch;
      else
        built = std::unexpected(patch.error());
    }
    if (!built) {
      sites_.pop_back(); // nobody was ever sent to it
      return std::unexpected(built.error());
    }
    session_->counters.sites_in_use(static_cast<std::uint32_t>(sites_.size()));
    session_->table.add(site.address, &made);
    if (made.patch.springboard != Address{}) {
      springboards_.insert(made.patch.springboard);
      session_->table.add(made.patch.springboard, &made);
    }
    return &made;
  }

  // Whether the bytes behind a pun still spell its landing.
  static bool still_spelled(const JumpSite& s) {
    if (s.patch.extent <= s.patch.written)
      return true;
    std::array<std::uint8_t, kMaxInstructionBytes + kJumpBytes> now{};
    const auto behind = std::span(now).first(static_cast<std::size_t>(s.patch.extent - s.patch.written));
    return read_memory(s.site.address + s.patch.written, behind) &&
           std::equal(behind.begin(), behind.end(), s.patch.bytes.begin() + s.patch.written);
  }

  static bool seen(const JumpSite& s) {
    std::array<std::uint8_t, kMaxInstructionBytes + kJumpBytes> now{};
    const auto there = std::span(now).first(s.patch.written);
    return read_memory(s.site.address, there) &&
           std::equal(there.begin(), there.end(), s.patch.bytes.begin());
  }

  void put_originals_back(Address from, std::span<std::uint8_t> bytes) const {
    const Address end = from + static_cast<std::ptrdiff_t>(bytes.size());
    for (auto it = armed_.lower_bound(from - static_cast<std::ptrdiff_t>(kMaxInstructionBytes));
         it != armed_.end() && it->first < end; ++it) {
      const JumpSite& s = *it->second->site;
      for (std::size_t i = 0; i < s.patch.written; ++i) {
        const std::ptrdiff_t at = s.site.address + static_cast<std::ptrdiff_t>(i) - from;
        if (at >= 0 && static_cast<std::size_t>(at) < bytes.size())
          bytes[static_cast<std::size_t>(at)] = s.instruction.bytes[i];
      }
    }
  }

  void begin(const AddressSpace& space, Ledger& ledger) {
    JumpSite& s = *ledger.site;
    // What came after the removal is left out.
    const Counts raw = session_->counters.of_site(s.index);
    for (const auto& [thread, count] : raw)
      if (const std::uint64_t before = of(ledger.frozen, thread); thread != 0 && count > before)
        ledger.late[thread] += count - before;
    ledger.late_sum += sum(raw) - sum(ledger.frozen);
    ledger.armed = true;
    s.live.store(true, std::memory_order_release); // pairs with proberace_trampoline_hit
    armed_[s.site.address] = &ledger;
    patched_.add(s.site.address, s.site.address + s.patch.extent);
    target_->page_taken(page_of(s.site.address), *space.find(s.site.address));
    touched_pages_.insert(page_of(s.site.address));
    touched_pages_.insert(page_of(s.site.address + (s.patch.written - 1)));
    if (s.patch.springboard != Address{})
      touched_pages_.insert(page_of(s.patch.springboard));
  }

  // Precondition: the original bytes are back and cores serialised, or the jump never was there.
  void end(Ledger& ledger) {
    JumpSite& s = *ledger.site;
    s.live.store(false, std::memory_order_release); // pairs with proberace_trampoline_hit
    armed_.erase(s.site.address);
    patched_.remove(s.site.address);
    target_->page_returned(page_of(s.site.address));
    ledger.frozen = session_->counters.of_site(s.index);
    ledger.armed = false;
  }

  SiteResults remove_locked(std::span<const Site> sites) {
    std::vector<std::expected<Ledger*, Error>> operations;
    std::vector<PatchWrite> batch;
    std::set<Address> taken; // a site named twice is not armed the second time
    for (const Site& site : sites) {
      const auto it = armed_.find(site.address);
      if (it == armed_.end() || it->second->site->site != site || !taken.insert(site.address).second) {
        operations.push_back(
            std::unexpected(Error{ErrorKind::NotArmed, site.address, "no probe of this prober is here"}));
        continue;
      }
      batch.push_back({it->second->site});
      operations.push_back(it->second);
    }
    if (!batch.empty()) {
      (void)take_sigtrap();
      write_originals(batch);
      for (PatchWrite& w : batch)
        if (!w.error)
          w.site->live.store(false, std::memory_order_release); // pairs with proberace_trampoline_hit
    }
    const Status quiet = batch.empty() ? Status{} : quiesce();
    SiteResults results;
    auto write = batch.begin();
    for (auto& operation : operations) {
      if (!operation) {
        results.push_back(std::unexpected(operation.error()));
        continue;
      }
      const PatchWrite& done = *write++;
      if (done.error) {
        results.push_back(std::unexpected(*done.error));
        continue;
      }
      end(**operation);
      results.push_back(quiet);
    }
    return results;
  }

  // Returns once every hit handler's call that began before has ended.
  Status quiesce() const {
    heavy_fence(); // pairs with Inside
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    pid_t stuck = 0;
    session_->counters.for_each([&](const CounterBlock& b) {
      const std::uint32_t seen = b.passages.load(std::memory_order_relaxed); // the owner's; a change is all
      while (stuck == 0 && b.depth.load(std::memory_order_acquire) != 0 &&   // pairs with ~Inside
             b.passages.load(std::memory_order_relaxed) == seen) {           // as above
        if (std::chrono::steady_clock::now() > deadline)
          stuck = b.owner.load(std::memory_order_relaxed); // a label
        ::sched_yield();
      }
    });
    if (stuck == 0)
      return {};
    return std::unexpected(Error{
        ErrorKind::NotQuiescent, {}, fmt::format("thread {} does not return from its hit handler", stuck)});
  }

  Counts raw_counts(const Ledger& ledger) const {
    return ledger.armed ? session_->counters.of_site(ledger.site->index) : ledger.frozen;
  }
  std::uint64_t total(const Ledger& ledger) const { return sum(raw_counts(ledger)) - ledger.late_sum; }

  mutable std::mutex mutex_; // control operations only; no hit takes it
  const Target* target_ = nullptr;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<JumpSession> session_;
  TrampolineSpace trampolines_;
  std::deque<JumpSite> sites_; // never moved: trampolines hold their addresses
  std::map<Site, Ledger> ledgers_;
  std::map<Address, Ledger*> armed_;
  PatchedBytes patched_;
  std::set<Address> springboards_;
  std::set<Address> touched_pages_;
};

const bool registered = register_whole("jump", "a jump to a trampoline, or a pun of one: no trap",
                                       [] { return std::make_unique<JumpProber>(); });

} // namespace

} // namespace proberace
