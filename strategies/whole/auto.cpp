// auto: the fastest strategy at each site whose promises cover the promises that the caller asks for.
//
// Idea: a jump if one fits and no neighbour within its bytes is wanted, else a trap; among the traps, emulation before a copy that jumps back before a
// single step. `proberace bench` measures that order. `auto` asks for no promise beyond those that all of
// them make. `auto:PROMISE,...` leaves out every strategy that does not make a promise that is named; if none
// in the process is left, the kernel's uprobes are asked. Trade-off: auto changes in a process what two
// strategies change there, and it promises only what both promise.
#include "harness/base/failure.h"
#include "harness/code/target.h"
#include "harness/probe/refuse.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "strategies/whole/jump_site.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace proberace {

namespace {

// Fastest first. At most one of the second row is taken, because each takes SIGTRAP.
constexpr const char* kWithoutTrap = "jump";
constexpr const char* kByTrap[] = {"poke+emulate|xol-boost|xol-vma", "poke+emulate|xol-vma", "poke+emulate"};
constexpr const char* kInTheKernel = "kernel-uprobe";

bool covers(const Promises& promises, std::span<const Promise> asked) {
  return std::all_of(asked.begin(), asked.end(), [&](Promise p) { return promises.has(p); });
}

// True while the hit handler runs: neither member knows of hits that the other takes inside it.
[[gnu::tls_model("initial-exec")]] constinit thread_local bool t_in_handler = false;

// Refusals that say nothing against another strategy at the same site.
bool another_may_take_it(const Error& error) {
  // A conflict may be about bytes behind the instruction, which a pun needs and a trap does not.
  return error.kind == ErrorKind::InstructionUnsupported || error.kind == ErrorKind::MemoryUnsupported ||
         error.kind == ErrorKind::NoRoom || error.kind == ErrorKind::MappingLimit ||
         error.kind == ErrorKind::Conflict;
}

// Removal was not clean, but the member's probe is not there any more.
bool is_gone(const Error& error) {
  return error.kind == ErrorKind::StaleSite || error.kind == ErrorKind::NotQuiescent;
}

// Some sites of a call, for one member to deal with, and the place of each in the call.
struct Share {
  std::vector<Site> sites;
  std::vector<std::size_t> places;

  void add(const Site& site, std::size_t place) {
    sites.push_back(site);
    places.push_back(place);
  }
};

class Auto final : public Prober {
public:
  Auto(std::string name, std::vector<std::unique_ptr<Prober>> members)
      : name_(std::move(name)), members_(std::move(members)) {}
  ~Auto() override {
    // The last to take SIGTRAP gives it back first.
    while (!members_.empty())
      members_.pop_back();
  }

  std::string name() const override { return name_; }
  Promises promises() const override {
    Promises all = Promises::all();
    for (const auto& member : members_)
      all = all & member->promises();
    return all;
  }
  Facts facts() const override {
    Facts either = members_.front()->facts();
    for (auto next = members_.begin() + 1; next != members_.end(); ++next)
      either = either | (*next)->facts();
    return either;
  }

  Status open(const Target& target) override {
    const schedule::Lock lock(mutex_);
    for (auto member = members_.begin(); member != members_.end(); ++member)
      if (Status opened = (*member)->open(target); !opened) {
        while (member != members_.begin())
          (void)(*--member)->close();
        return opened;
      }
    return {};
  }

  Status close() override {
    const schedule::Lock lock(mutex_);
    for (auto member = members_.rbegin(); member != members_.rend(); ++member)
      // One that is closed already was closed by an earlier call, which another member's threads held up.
      if (Status closed = (*member)->close();
          !closed && (closed.error().kind != ErrorKind::NotOpen || member + 1 == members_.rend()))
        return closed;
    armed_.clear();
    return {};
  }

  SiteResults insert(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    SiteResults results(sites.size(), refuse::not_open());
    Share left;
    for (std::size_t place = 0; place < sites.size(); ++place)
      if (armed_.contains(sites[place]))
        results[place] = refuse::already_armed(sites[place].address);
      else
        left.add(sites[place], place);
    Share crowded = take_crowded(left);
    for (const auto& member : members_) {
      left = insert_by(*member, left, results);
      for (std::size_t n = 0; n < crowded.sites.size(); ++n)
        left.add(crowded.sites[n], crowded.places[n]);
      crowded = {};
      if (left.sites.empty())
        break;
    }
    if (members_.size() > 1 && !left.sites.empty())
      make_room(sites, left, results);
    return results;
  }

  SiteResults remove(std::span<const Site> sites) override {
    const schedule::Lock lock(mutex_);
    SiteResults results;
    for (const Site& site : sites)
      results.emplace_back(refuse::not_armed(site.address));
    for (const auto& member : members_) {
      Share its;
      for (std::size_t place = 0; place < sites.size(); ++place)
        if (const auto it = armed_.find(sites[place]); it != armed_.end() && it->second == member.get())
          its.add(sites[place], place);
      const SiteResults removed = member->remove(its.sites);
      for (std::size_t n = 0; n < its.sites.size(); ++n)
        results[its.places[n]] = removed[n];
      for (std::size_t n = 0; n < its.sites.size(); ++n)
        if (removed[n] || is_gone(removed[n].error()))
          armed_.erase(its.sites[n]);
    }
    return results;
  }

  // A site may have been armed by one member, and later, its code rewritten, by another.
  std::uint64_t hits(const Site& site) const override {
    std::uint64_t sum = 0;
    for (const auto& member : members_)
      sum += member->hits(site);
    return sum;
  }

  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override {
    std::uint64_t sum = 0;
    for (const auto& member : members_) {
      const auto its = member->hits(site, thread);
      if (!its)
        return its;
      sum += *its;
    }
    return sum;
  }

  std::string_view way(const Site& site) const override {
    const schedule::Lock lock(mutex_);
    const auto it = armed_.find(site);
    return it != armed_.end() ? it->second->way(site) : std::string_view();
  }

  Status set_handler(HitHandler handler, void* argument) override {
    const schedule::Lock lock(mutex_);
    if (!armed_.empty())
      return refuse::still_armed(armed_.begin()->first.address);
    handler_ = handler;
    handler_argument_ = argument;
    for (const auto& member : members_)
      if (Status set = member->set_handler(handler != nullptr ? &call_once : nullptr, this); !set)
        return set;
    return {};
  }

  Footprint footprint() const override {
    Footprint all;
    for (const auto& member : members_)
      all += member->footprint();
    // Both members' handlers are SIGTRAP's, one behind the other.
    all.signal_handlers = std::min<std::int64_t>(all.signal_handlers, 1);
    return all;
  }

  PathCounts paths() const override {
    PathCounts all;
    for (const auto& member : members_) {
      const PathCounts its = member->paths();
      for (std::size_t i = 0; i < kPathCount; ++i)
        all.taken[i] += its.taken[i];
    }
    // A trap that the first handler takes for the program's own is passed on to the other member, whose count
    // is right.
    constexpr auto kForeign = static_cast<std::size_t>(Path::ForeignTrap);
    all.taken[kForeign] = members_.front()->paths().taken[kForeign];
    return all;
  }

private:
  // Returns those that another member may take.
  Share insert_by(Prober& member, const Share& tried, SiteResults& results) {
    Share left;
    const SiteResults inserted = member.insert(tried.sites);
    for (std::size_t n = 0; n < tried.sites.size(); ++n) {
      results[tried.places[n]] = inserted[n];
      if (inserted[n])
        armed_[tried.sites[n]] = &member;
      else if (another_may_take_it(inserted[n].error()))
        left.add(tried.sites[n], tried.places[n]);
    }
    return left;
  }

  // Takes out of `all` the sites whose neighbour is armed, or to be armed, within a jump's bytes: a trap needs only
  // the first of them.
  Share take_crowded(Share& all) const {
    Share crowded;
    if (members_.size() == 1)
      return crowded;
    std::set<Address> wanted;
    for (const Site& site : all.sites)
      wanted.insert(site.address);
    for (const auto& [site, member] : armed_)
      wanted.insert(site.address);
    Share roomy;
    for (std::size_t n = 0; n < all.sites.size(); ++n) {
      const auto next = wanted.upper_bound(all.sites[n].address);
      const bool room =
          next == wanted.end() || *next - all.sites[n].address >= static_cast<std::ptrdiff_t>(kJumpBytes);
      (room ? roomy : crowded).add(all.sites[n], all.places[n]);
    }
    all = std::move(roomy);
    return crowded;
  }

  // A jump with prefixes depends on more bytes than five. Where such a jump of this very call keeps another of its
  // sites from being armed, both are armed by traps.
  void make_room(std::span<const Site> sites, const Share& refused, SiteResults& results) {
    Prober& jumps = *members_.front();
    std::set<Address> blocked;
    for (std::size_t n = 0; n < refused.sites.size(); ++n)
      if (results[refused.places[n]].error().kind == ErrorKind::Conflict)
        blocked.insert(refused.sites[n].address);
    Share moved;
    for (std::size_t place = 0; place < sites.size(); ++place) {
      const auto behind = blocked.upper_bound(sites[place].address);
      if (!results[place] || behind == blocked.end() ||
          *behind - sites[place].address >= static_cast<std::ptrdiff_t>(kMaxPatchBytes))
        continue;
      if (const auto its = armed_.find(sites[place]); its != armed_.end() && its->second == &jumps)
        moved.add(sites[place], place);
    }
    if (moved.sites.empty())
      return;
    const SiteResults removed = jumps.remove(moved.sites);
    Share again = refused;
    for (std::size_t n = 0; n < moved.sites.size(); ++n)
      if (removed[n]) {
        armed_.erase(moved.sites[n]);
        again.add(moved.sites[n], moved.places[n]);
      }
    insert_by(**std::next(members_.begin()), again, results);
  }

  // signal-safe.
  static void call_once(Hit& hit, void* argument) {
    if (t_in_handler)
      return;
    const Auto& self = *static_cast<const Auto*>(argument);
    t_in_handler = true;
    self.handler_(hit, self.handler_argument_);
    t_in_handler = false;
  }

  const std::string name_;
  std::vector<std::unique_ptr<Prober>> members_; // fastest first; jump before the one that takes SIGTRAP
  mutable std::mutex mutex_;                     // control operations only; no hit takes it
  std::map<Site, Prober*> armed_;
  HitHandler handler_ = nullptr; // set while nothing is armed
  void* handler_argument_ = nullptr;
};

std::expected<std::unique_ptr<Prober>, Error> choose(std::span<const Promise> asked) {
  std::vector<std::unique_ptr<Prober>> members;
  const auto take = [&](const char* strategy) {
    auto prober = make_prober(strategy);
    const bool taken = prober && covers((*prober)->promises(), asked);
    if (taken)
      members.push_back(std::move(*prober));
    return taken;
  };
  take(kWithoutTrap);
  for (const char* strategy : kByTrap)
    if (take(strategy))
      break;
  std::string spelled = "auto";
  for (const Promise p : asked)
    spelled += fmt::format("{}{}", spelled == "auto" ? ':' : ',', proberace::name(p));
  if (members.empty() && !take(kInTheKernel))
    return bad_input("{}: none of the strategies it chooses from promises all of that", spelled);
  return std::make_unique<Auto>(std::move(spelled), std::move(members));
}

const bool registered = register_chooser(
    "auto", "per site the fastest strategy that covers what is asked: auto:PROMISE,...", &choose);

} // namespace

} // namespace proberace
