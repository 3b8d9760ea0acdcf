#include "stress/hunt/hunter.h"

#include "stress/hunt/batch_seed.h"
#include "stress/hunt/quiet_batch.h"

#include <algorithm>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHistoriesPerBatch = 20;
constexpr int kTriesWhileShrinking = 3; // a race that shows now and then must not stop the shrinking at once
constexpr std::chrono::seconds kShrinkAtLeast{5};

class Hunter {
public:
  explicit Hunter(const HuntOptions& options) : options_(options), until_(Clock::now() + options.budget) {
    report_.seed = options.seed;
  }

  HuntReport run() {
    for (std::uint64_t batch = 0; !over(); ++batch)
      run_quietly(seed_of_batch(options_.seed, batch), kHistoriesPerBatch,
                  [this] { holds(*history_generator(options_.bounds)); });
    return std::move(report_);
  }

private:
  bool over() const {
    const bool machine_lacks = report_.skipped != 0 && report_.skipped == report_.cells;
    return report_.found || machine_lacks || Clock::now() >= until_ ||
           (options_.stop_after != 0 && report_.cells >= static_cast<std::size_t>(options_.stop_after));
  }

  // The property. Once the time is up everything holds, which ends the batch, or the shrinking, where it
  // stands.
  void holds(const History& history) {
    const bool shrinking = report_.found.has_value();
    if (shrinking ? Clock::now() >= shrink_until_ : over())
      return;
    for (int tries = shrinking ? kTriesWhileShrinking : 1; tries > 0; --tries) {
      const Verdict verdict = run_cell(to_cell(history));
      note(verdict, shrinking);
      if (!verdict.is_counterexample())
        continue;
      if (!shrinking) {
        report_.shrunk = !options_.worth_shrinking || options_.worth_shrinking(verdict);
        shrink_until_ = Clock::now();
        if (report_.shrunk)
          shrink_until_ += std::max<Clock::duration>(kShrinkAtLeast, options_.budget / 2);
      }
      report_.found = BrokenHistory{history, verdict};
      RC_FAIL(verdict.summary);
    }
  }

  void note(const Verdict& verdict, bool shrinking) {
    ++(shrinking ? report_.shrinks : report_.cells);
    if (verdict.is(Ending::Skipped))
      ++report_.skipped;
    if ((verdict.is(Ending::Refused) || verdict.is(Ending::Skipped)) && !report_.refused)
      report_.refused = verdict;
    if (!shrinking)
      report_.add(verdict.data);
    if (options_.progress)
      options_.progress(report_);
  }

  const HuntOptions& options_;
  const Clock::time_point until_;
  Clock::time_point shrink_until_{};
  HuntReport report_;
};

} // namespace

HuntReport hunt(const HuntOptions& options) {
  return Hunter(options).run();
}

} // namespace proberace
