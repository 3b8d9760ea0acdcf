#include "harness/log/hit_log_check.h"

#include "harness/judge/judgement.h"

#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

namespace proberace {

namespace {

// The states that a site was seen in with nothing in flight, and the states that operations left behind.
struct Windows {
  std::set<std::uint64_t> seen;
  std::set<std::uint64_t> opened{0}; // it begins clear
  std::uint64_t last_seen = 0;
};

class Checker {
public:
  explicit Checker(const HitLogReader& log) : log_(log) {}

  LogCheck run() {
    for (const std::string& damage : log_.damage())
      fault(damage);
    incomplete_ = !log_.damage().empty();
    for (std::size_t thread = 0; thread < log_.threads(); ++thread)
      check_thread(thread);
    check_windows();
    return std::move(result_);
  }

private:
  void fault(std::string text) {
    if (++result_.fault_count <= LogCheck::kMostFaults)
      result_.faults.push_back(std::move(text));
  }

  void check_thread(std::size_t thread) {
    thread_ = thread;
    next_ = 0;
    open_.reset();
    log_.for_each(thread, [this](const HitRecord& r) { take(r); });
    result_.unjudged += open_ ? 1 : 0; // its thread ended in it, or was killed
    if (!log_.trailer())
      return;
    const auto& ends = log_.trailer()->threads;
    if (thread >= ends.size())
      return fault(fmt::format("thread {}: the log's end knows nothing of it", thread));
    result_.lost += ends[thread].untold;
    if (ends[thread].records != next_)
      missing(ends[thread].records);
  }

  void missing(std::uint64_t until) {
    fault(until > next_
              ? fmt::format("thread {}: records {} to {} are missing", thread_, next_, until - 1)
              : fmt::format("thread {}: record {} is followed by record {}", thread_, next_ - 1, until));
    give_up();
  }
  void give_up() {
    incomplete_ = true;
    result_.unjudged += open_ ? 1 : 0;
    open_.reset();
    after_gap_ = true;
  }

  void take(const HitRecord& r) {
    if (r.serial != static_cast<std::uint32_t>(next_)) {
      const auto ahead = static_cast<std::int32_t>(r.serial - static_cast<std::uint32_t>(next_));
      const std::uint64_t serial = next_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(ahead));
      missing(serial);
      next_ = serial;
    }
    ++next_;
    ++result_.records;
    switch (r.kind) {
    case RecordKind::Begin: return begin(r);
    case RecordKind::Hit: return hit(r);
    case RecordKind::End: return end(r);
    case RecordKind::Operated:
      ++result_.operations;
      windows_[r.site].opened.insert(r.state);
      return;
    case RecordKind::Lost: result_.lost += r.state; return give_up();
    case RecordKind::Blank: break;
    }
    fault(fmt::format("thread {}: record {} is of no known kind", thread_, next_ - 1));
    give_up();
  }

  void begin(const HitRecord& r) {
    if (open_)
      fault(at(r, fmt::format("begins while execution {} has no end", open_->ticket)));
    open_ = r;
    hits_ = 0;
    after_gap_ = false;
    see(r);
  }

  void hit(const HitRecord& r) {
    ++result_.hits;
    if (after_gap_)
      return;
    if (!open_ || open_->ticket != r.ticket || open_->site != r.site)
      fault(at(r, "was hit, and is not being executed"));
    else
      ++hits_;
  }

  void end(const HitRecord& r) {
    see(r);
    if (std::exchange(after_gap_, false))
      return;
    if (!open_ || open_->ticket != r.ticket || open_->site != r.site)
      return fault(at(r, "ends, and has no beginning"));
    ++result_.executions;
    if (const Fault wrong = judge_execution(open_->state, r.state, hits_); wrong != Fault::None)
      fault(at(r, fmt::format("{}: hit {} times", name(wrong), hits_)));
    if (in_one_window(open_->state, r.state))
      ++(SiteState::armed(r.state) ? result_.must : result_.must_not);
    open_.reset();
  }

  void see(const HitRecord& r) {
    Windows& w = windows_[r.site];
    if (!SiteState::quiet(r.state) || w.last_seen == r.state)
      return;
    w.last_seen = r.state;
    w.seen.insert(r.state);
  }

  void check_windows() {
    for (const auto& [site, w] : windows_)
      for (const std::uint64_t state : w.seen)
        if (!w.opened.contains(state) && result_.lost == 0 && !incomplete_)
          fault(fmt::format(
              "site {}: executions saw it {} (state {:#x}), and no operation of the log left it so", site,
              SiteState::armed(state) ? "armed" : "clear", state));
  }

  std::string at(const HitRecord& r, std::string_view what) const {
    return fmt::format("thread {}, record {}: execution {} of site {} {}", thread_, r.serial, r.ticket,
                       r.site, what);
  }

  const HitLogReader& log_;
  LogCheck result_;
  std::map<std::uint32_t, Windows> windows_; // by site
  std::size_t thread_ = 0;
  std::uint64_t next_ = 0;        // serial
  std::optional<HitRecord> open_; // the execution's Begin
  std::uint64_t hits_ = 0;        // in it
  bool incomplete_ = false;       // operations may be missing, too
  bool after_gap_ = false;        // whether its Begin is missing is not known
};

} // namespace

LogCheck check_log(const HitLogReader& log) {
  return Checker(log).run();
}

} // namespace proberace
