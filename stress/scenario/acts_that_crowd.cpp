// The act `crowd`: a thread maps code of its own with some hundred sites and probes all of them in one batch, more than
// fit on a page of slots or into one request to a supervisor. Some of the batch are refused.
#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::size_t kCrowd = 560;
constexpr std::size_t kPerPage = 32;
constexpr std::size_t kNoSiteEvery = 50;

} // namespace

struct CrowdOfSites {
  ScenarioRun& run;
  std::size_t thread;
  Text text;
  std::vector<Site> batch{};
  std::vector<bool> armed{};

  const Body& body() const { return *text.bodies()[0].body; }
  // Those are addresses between two functions.
  static bool is_site(std::size_t i) { return i % kNoSiteEvery != kNoSiteEvery / 2; }

  void note(std::string property, std::size_t i, const std::string& what) const {
    run.note(thread, std::move(property),
             fmt::format("{} of a crowd of {} sites ({}): {}", i, kCrowd, body().name(), what));
  }

  void make_batch() {
    const auto space = run.target_.address_space();
    for (std::size_t i = 0; i < kCrowd; ++i) {
      const PlacedBody& placed = text.bodies()[i];
      Site site = run.target_.site_at(space, placed.site).value_or(Site{});
      if (!is_site(i))
        site.address = placed.entry + static_cast<std::ptrdiff_t>(placed.body->bytes());
      batch.push_back(site);
    }
  }

  void insert() {
    const SiteResults results = run.prober_->insert(batch);
    for (std::size_t i = 0; i < kCrowd; ++i) {
      armed.push_back(results[i].has_value());
      if (!is_site(i) && results[i])
        note(property_name(BrokenProperty::ArmedState), i, "it is no instruction, and was not refused");
      if (is_site(i) && !results[i] && run.breaks(results[i].error().kind, true, body()))
        note(property_name(BrokenProperty::Refused), i, describe(results[i].error()));
    }
  }

  void execute(bool while_armed) {
    Worker& self = run.workers_[run.rows_.own(thread)];
    const bool exact = run.prober_->promises().has(Promise::ExactCounts);
    for (std::size_t i = 0; i < kCrowd; ++i) {
      if (const Fault fault = self.execute_at(text.bodies()[i].entry); fault != Fault::None)
        note(property_name(fault), i, while_armed ? "while probed" : "after removal");
    }
    // The code is new, and so are its sites' counts.
    for (std::size_t i = 0; exact && i < kCrowd; ++i)
      if (const std::uint64_t hits = run.prober_->hits(batch[i]); hits != (armed[i] && is_site(i) ? 1 : 0))
        note(property_name(Fault::WrongCount), i,
             fmt::format("{} hits in one execution {}", hits,
                         while_armed ? "while probed" : "and one after removal"));
  }

  // False if a thread did not stop in time: some are armed still.
  bool remove() {
    const SiteResults results = run.prober_->remove(batch);
    const auto late = [](const Status& r) { return !r && r.error().kind == ErrorKind::ThreadWouldNotStop; };
    if (std::ranges::any_of(results, late)) {
      text.forget(); // stays mapped
      return false;
    }
    for (std::size_t i = 0; i < kCrowd; ++i)
      if (results[i].has_value() != armed[i] &&
          (results[i] || run.breaks(results[i].error().kind, false, body())))
        note(property_name(BrokenProperty::Removal), i,
             results[i] ? "removed, and never armed" : describe(results[i].error()));
    return true;
  }
};

namespace perform {

// Free runs only: under control each site would be a step or several.
void Crowd(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.controlled_ || run.closed_ || run.prober_->facts().handled_by == HandledBy::Kernel)
    return;
  const Body* const body = run.text_.bodies()[act.bodies[0]].body;
  std::vector<Placement> placements;
  for (std::size_t i = 0; i < kCrowd; ++i)
    placements.push_back({body, i / kPerPage});
  auto text = Text::make(placements, text_memory_for(*run.prober_));
  if (!text)
    return;
  CrowdOfSites crowd{run, thread, std::move(*text)};
  crowd.text.declare(run.target_);
  const Signals::OwnCode own(crowd.text.start(), crowd.text.bytes());
  std::vector<std::uint8_t> before(crowd.text.bytes());
  read_memory(crowd.text.start(), before);
  crowd.make_batch();
  crowd.insert();
  crowd.execute(true);
  if (!crowd.remove())
    return;
  crowd.execute(false);
  std::vector<std::uint8_t> after(before.size());
  read_memory(crowd.text.start(), after);
  if (after != before)
    crowd.note(property_name(Fault::NotRestored), 0, "its bytes are not its own after removal");
}

} // namespace perform

} // namespace proberace
