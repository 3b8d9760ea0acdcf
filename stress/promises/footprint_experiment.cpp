// The changes a strategy makes in the process that hosts it: observed before open, while armed and hit on
// three threads, after the last removal (the residue) and after close, when nothing may be left.
#include "harness/base/json_fields.h"
#include "harness/base/threads.h"
#include "stress/code/probed_text.h"
#include "stress/promises/process_snapshot.h"

#include <fmt/format.h>
#include <thread>

namespace proberace {

namespace {

constexpr const char* kBodies[] = {"mov", "nop", "nop5", "add", "lea-rip", "mov-rip"};
constexpr int kHitsEach = 20;

// The process as it looks from outside, and as the prober says it changed it.
struct FootprintData {
  std::size_t sites = 0;
  ProcessSnapshot armed, residue, left;
  Footprint claimed, claimed_residue;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("sites", self.sites);
    field("armed", self.armed);
    field("residue", self.residue);
    field("left", self.left);
    field("claimed", self.claimed);
    field("claimed_residue", self.claimed_residue);
  }
};

// Two threads beside this one hit every site and stay until the end: a thread's own changes are seen too.
class Tenants {
public:
  explicit Tenants(const ProbedText& probed) {
    for (int i = 0; i < 2; ++i)
      threads_.emplace_back([this, &probed](std::stop_token stop) {
        ready_.fetch_add(1, std::memory_order_release);                               // pairs with settle
        while (round_.load(std::memory_order_acquire) == 0 && !stop.stop_requested()) // pairs with hit
          std::this_thread::yield();
        Mailbox mailbox;
        for (int n = 0; n < kHitsEach * static_cast<int>(std::size(kBodies)); ++n)
          (void)probed.execute(static_cast<std::size_t>(n) % std::size(kBodies), mailbox);
        done_.fetch_add(1, std::memory_order_release); // pairs with hit
        while (!stop.stop_requested())
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    while (ready_.load(std::memory_order_acquire) < 2) // pairs with the threads
      std::this_thread::yield();
  }
  void hit() {
    round_.store(1, std::memory_order_release); // pairs with the threads
    while (done_.load(std::memory_order_acquire) < 2)
      std::this_thread::yield();
  }

private:
  std::atomic<int> ready_{0};
  std::atomic<int> round_{0};
  std::atomic<int> done_{0};
  std::vector<std::jthread> threads_; // ends before the words they read
};

Verdict footprint(const Json& parameters, Arena&) {
  std::vector<Placement> placements;
  for (const char* body : kBodies)
    placements.push_back({body_named(body), placements.size() % 2});
  auto opened = ProbedText::open(parameters.at("strategy"), placements);
  if (!opened)
    return verdict_of(opened.error());
  ProbedText& probed = **opened;
  Tenants tenants(probed);
  // Everything lazy (maps, libraries' own state) is there after one round; what is measured is the second.
  if (const Status closed = probed.prober().close(); !closed)
    return verdict_of(closed.error());
  (void)ProcessSnapshot::look();
  const ProcessSnapshot before = ProcessSnapshot::look();
  if (const Status again = probed.prober().open(probed.target()); !again)
    return verdict_of(again.error());
  std::vector<Site> armed;
  const SiteResults inserted = probed.prober().insert(probed.sites());
  for (std::size_t i = 0; i < inserted.size(); ++i)
    if (inserted[i])
      armed.push_back(probed.site(i)); // what a strategy cannot probe is not its footprint
  if (armed.empty())
    return verdict_of(inserted[0].error());
  tenants.hit();
  const ProcessSnapshot while_armed = ProcessSnapshot::look() - before;
  const Footprint claims = probed.prober().footprint();
  if (const Status removed = first_error(probed.prober().remove(armed)); !removed)
    return verdict_of(removed.error());
  const ProcessSnapshot residue = ProcessSnapshot::look() - before;
  const Footprint claimed_residue = probed.prober().footprint();
  if (const Status closed = probed.prober().close(); !closed)
    return verdict_of(closed.error());
  const ProcessSnapshot left = ProcessSnapshot::look() - before;
  Verdict v;
  if (left.executable_mappings != 0 || left.writable_executable_bytes != 0 || left.mappings != 0 ||
      left.signal_handlers != 0 || left.descriptors != 0 || left.processes != 0)
    v = broken("not-restored", "after close the process is not what it was before open");
  else
    v = held();
  v.data = write_fields(FootprintData{armed.size(), while_armed, residue, left, claims, claimed_residue});
  v.evidence = v.data;
  return v;
}

const bool footprint_experiment_registered = register_experiment("footprint", &footprint);

} // namespace

} // namespace proberace
