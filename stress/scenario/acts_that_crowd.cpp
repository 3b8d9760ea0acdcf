// The act `crowd`: a thread maps code of its own with some hundred sites and probes all of them in one batch, more than
// fit on a page of slots or into one request to a supervisor. Some of the batch are refused.
#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/companion.h"
#include "stress/scenario/own_probes.h"
#include "stress/scenario/signals.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::size_t kCrowd = 560;
constexpr std::size_t kPerPage = 32;
constexpr std::size_t kNoSiteEvery = 50;

// The place in memory of the batch's i-th site: upwards, downwards, or scattered. Room that one site takes may lie before
// or behind that of others.
std::size_t place_of(std::size_t i, std::size_t order) {
  constexpr std::size_t kStride = 223; // has no divisor in common with kCrowd
  switch (order % 3) {
  case 0: return i;
  case 1: return kCrowd - 1 - i;
  default: return i * kStride % kCrowd;
  }
}

class CrowdOfSites {
public:
  CrowdOfSites(ScenarioRun& run, std::size_t thread, Text text, std::size_t order)
      : text_(std::move(text)), order_(order), own_(run, thread, fmt::format("a crowd of {} sites", kCrowd)) {
    text_.declare(own_.target());
    const auto space = own_.target().address_space();
    for (std::size_t i = 0; i < kCrowd; ++i) {
      const PlacedBody& placed = at(i);
      Site site = own_.target().site_at(space, placed.site).value_or(Site{});
      if (!is_site(i))
        site.address = placed.entry + static_cast<std::ptrdiff_t>(placed.body->bytes());
      batch_.push_back(site);
    }
  }

  void probe() {
    const Signals::OwnCode code(text_.start(), text_.bytes());
    std::vector<std::uint8_t> before(text_.bytes());
    read_memory(text_.start(), before);
    insert_while_another_executes();
    execute("while probed", true);
    if (!remove_while_another_executes())
      return own_.keep(std::move(text_));
    execute("after removal", false);
    own_.judge_bytes(text_.start(), before);
  }

private:
  // Of the batch's i-th.
  const PlacedBody& at(std::size_t i) const { return text_.bodies()[place_of(i, order_)]; }
  const Body& body(std::size_t i) const { return *at(i).body; }
  std::string which(std::size_t i) const { return fmt::format("the {}th, {}: ", i, body(i).name()); }
  // Those are addresses between two functions.
  static bool is_site(std::size_t i) { return i % kNoSiteEvery != kNoSiteEvery / 2; }

  std::vector<Address> entries() const {
    std::vector<Address> all;
    std::ranges::transform(text_.bodies(), std::back_inserter(all), &PlacedBody::entry);
    return all;
  }

  void insert_while_another_executes() {
    const Companion other(own_, entries());
    insert();
  }

  bool remove_while_another_executes() {
    const Companion other(own_, entries());
    return remove();
  }

  void insert() {
    const SiteResults results = own_.prober().insert(batch_);
    for (std::size_t i = 0; i < kCrowd; ++i) {
      armed_.push_back(results[i].has_value());
      if (is_site(i))
        own_.judge(results[i], true, body(i), which(i));
      else if (results[i])
        own_.note(property_name(BrokenProperty::ArmedState),
                  "an address that is no instruction was not refused");
    }
  }

  void execute(std::string_view when, bool counts) {
    for (std::size_t i = 0; i < kCrowd; ++i)
      counted_[i] = own_.prober().hits(batch_[i]);
    for (std::size_t i = 0; i < kCrowd; ++i)
      own_.call(at(i).entry, which(i).append(when));
    for (std::size_t i = 0; i < kCrowd; ++i)
      own_.judge_hits(own_.prober().hits(batch_[i]) - counted_[i],
                      counts && armed_[i] && is_site(i) ? body(i).passes : 0, which(i).append(when));
  }

  // False if some are armed still.
  bool remove() const {
    const SiteResults results = own_.prober().remove(batch_);
    if (std::ranges::any_of(results, is_left_armed))
      return false;
    for (std::size_t i = 0; i < kCrowd; ++i)
      if (armed_[i])
        own_.judge(results[i], false, body(i), which(i));
      else if (results[i])
        own_.note(property_name(BrokenProperty::Removal), "a site that was never armed was removed");
    return true;
  }

  Text text_;
  std::size_t order_;
  OwnProbes own_;
  std::vector<Site> batch_{};
  std::vector<bool> armed_{};
  std::vector<std::uint64_t> counted_ =
      std::vector<std::uint64_t>(kCrowd); // before the executions that are judged
};

} // namespace

namespace perform {

// Free runs only: under control each site would be a step or several.
void Crowd(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.controlled_ || run.closed_ || run.prober_->facts().handled_by == HandledBy::Kernel)
    return;
  const auto bodies = run.text_.bodies();
  std::vector<Placement> placements;
  for (std::size_t i = 0; i < kCrowd; ++i)
    placements.push_back({bodies[(act.bodies[0] + i) % bodies.size()].body, i / kPerPage});
  if (auto text = Text::make(placements, text_memory_for(*run.prober_)))
    CrowdOfSites(run, thread, std::move(*text),
                 thread + run.deeds_[thread].acts[static_cast<std::size_t>(act.kind)])
        .probe();
}

} // namespace perform

} // namespace proberace
