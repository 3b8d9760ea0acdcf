// The scheduler with real threads, in this process: no strategy, no signals.
#define PROBERACE_SCHEDULED // this file has its points, whichever the program's strategies were compiled with
#include "harness/base/threads.h"
#include "harness/schedule/exhaustive.h"
#include "harness/schedule/point.h"
#include "harness/schedule/scheduler.h"

#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>

namespace proberace::schedule {

namespace {

using Body = std::function<void()>;

// Runs the bodies, one a task, under each chooser in turn, on the same threads.
class Runs {
public:
  explicit Runs(std::vector<Body> bodies) : bodies_(std::move(bodies)), scheduler_(*state_) {
    for (std::size_t i = 1; i < bodies_.size(); ++i)
      threads_.emplace_back([this, i] {
        while (scheduler_.idle(i))
          bodies_[i]();
      });
    scheduler_.gather(bodies_.size(), 2 * bodies_.size());
  }
  ~Runs() {
    scheduler_.stop();
    for (std::thread& t : threads_)
      t.join();
  }
  std::span<const Step> run(Chooser& chooser) {
    scheduler_.begin(chooser);
    bodies_[0]();
    scheduler_.finish();
    return state_->trace.taken();
  }
  Scheduler& scheduler() { return scheduler_; }
  const State& state() const { return *state_; }

private:
  std::unique_ptr<State> state_ = std::make_unique<State>();
  std::vector<Body> bodies_;
  Scheduler scheduler_;
  std::vector<std::thread> threads_;
};

// SIGUSR1, whose handler passes a point and counts.
class CountedSignal {
public:
  static inline std::atomic<int> taken{0};

  CountedSignal() {
    taken = 0;
    struct sigaction action {};
    action.sa_handler = [](int) {
      point("handler");
      taken.fetch_add(1);
    };
    ::sigaction(SIGUSR1, &action, &before_);
  }
  ~CountedSignal() { ::sigaction(SIGUSR1, &before_, nullptr); }

private:
  struct sigaction before_ {};
};

} // namespace

TEST(Scheduler, RunsOneTaskAtATimeInEveryOrder) {
  int shared = 0; // not atomic: ThreadSanitizer would see two tasks at once
  std::set<int> results;
  const auto twice = [&] {
    for (int i = 0; i < 2; ++i) {
      const int read = shared;
      point("store");
      shared = read + 1;
      point("load");
    }
  };
  Runs runs({twice, twice});
  Exhaustive exhaustive(8);
  int schedules = 0;
  do {
    shared = 0;
    Following following(exhaustive.next());
    const auto steps = runs.run(following);
    results.insert(shared);
    ++schedules;
    if (!exhaustive.advance(steps))
      break;
  } while (schedules < 10'000);
  EXPECT_EQ(results, (std::set<int>{2, 3, 4})); // 2: the classic lost updates
  EXPECT_EQ(schedules, 252 + 2);                // five steps each: 10 over 5; the first is run three times
}

TEST(Scheduler, AWaitIsNotLookedAtAgainBeforeAnotherTookAStep) {
  bool ready = false;
  int looks = 0;
  Runs runs({[&] {
               while (!ready) {
                 ++looks;
                 waiting("wait");
               }
             },
             [&] {
               point("work");
               point("more");
               ready = true;
             }});
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    ready = false;
    looks = 0;
    RandomWalk random(seed);
    runs.run(random);
    EXPECT_LE(looks, 4) << seed; // at most once before each of the other's steps, and once behind
  }
}

TEST(Scheduler, ALockIsWaitedForUnderControl) {
  std::mutex mutex;
  int inside = 0;
  int most = 0;
  const auto enter = [&] {
    const Lock lock(mutex);
    most = std::max(most, ++inside);
    point("inside");
    --inside;
  };
  Runs runs({enter, enter, enter});
  bool waited = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomWalk random(seed);
    for (const Step& step : runs.run(random))
      waited = waited || std::string_view(step.name) == "lock";
  }
  EXPECT_EQ(most, 1);
  EXPECT_TRUE(waited);
}

TEST(Scheduler, ATaskThatIdlesTakesASignalWhenItIsChosen) {
  const CountedSignal signal;
  std::atomic<pid_t> other{0};
  int times = 0; // the other's part ran
  Runs runs({[&] {
               point("send");
               ::tgkill(::getpid(), other.load(), SIGUSR1);
               signal_sent(other.load());
               point("sent");
             },
             [&] {
               other = ::gettid();
               ++times;
             }});
  const Schedule other_first{{0, 1}};
  Following following(other_first);
  runs.run(following); // from here on its thread is known
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    CountedSignal::taken = 0;
    RandomWalk random(seed);
    times = 0;
    runs.run(random);
    EXPECT_EQ(CountedSignal::taken.load(), 1) << seed;
    EXPECT_EQ(times, 1) << seed; // a handler that passes points does not begin it again
  }
}

TEST(Scheduler, BetweenSchedulesATaskTakesWhatIsSentToIt) {
  const CountedSignal signal;
  pid_t other = 0;
  Runs runs({[] {}, [&] { other = ::gettid(); }});
  Following following({});
  runs.run(following);
  const std::size_t steps = runs.scheduler().steps();
  for (int i = 1; i <= 3; ++i) {
    const Scheduler::Aside aside(runs.scheduler());
    ::tgkill(::getpid(), other, SIGUSR1);
    signal_sent(other);
    while (CountedSignal::taken.load() != i)
      EXPECT_TRUE(waiting("wait"));
  }
  EXPECT_EQ(runs.scheduler().steps(), steps);
  EXPECT_EQ(runs.run(following).size(), steps);
}

TEST(Scheduler, AThreadThatComesAndGoesIsATaskMeanwhile) {
  int shared = 0;
  std::set<int> results;
  std::string order; // in which they end their part
  std::set<std::string> orders;
  const auto add_one = [&](char who) {
    const int read = shared;
    point("store");
    shared = read + 1;
    order += who;
  };
  Scheduler* scheduler = nullptr;
  const State* state = nullptr;
  std::atomic<pid_t> id{0};
  int seen_alive = 0; // by the kernel, though it has gone
  const auto look = [&] {
    seen_alive += state->tasks[2].doing == State::Task::Doing::Nothing && thread_alive(id) ? 1 : 0;
  };
  Runs runs({[&] {
               std::thread other([&] {
                 id = current_thread();
                 scheduler->come(2);
                 add_one('2');
                 scheduler->go(0);
               });
               scheduler->await(2);
               add_one('0');
               look();
               scheduler->wait_until_gone(2);
               other.join();
             },
             [&] {
               point("meanwhile");
               look();
               order += '1';
             }});
  scheduler = &runs.scheduler();
  state = &runs.state();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    shared = 0;
    order.clear();
    RandomWalk random(seed);
    bool came = false;
    for (const Step& step : runs.run(random))
      came = came || step.task == 2;
    EXPECT_TRUE(came) << seed;
    results.insert(shared);
    orders.insert(order);
  }
  EXPECT_EQ(results, (std::set<int>{1, 2})); // 1: a lost update
  EXPECT_EQ(seen_alive, 0);
  EXPECT_EQ(orders.size(), 6U); // also another between its end and its starter's next step
}

TEST(Scheduler, AModelsStepsAreTakenThoughItLeavesSomeOut) {
  std::string order;
  const auto pass = [&order](char who) {
    return [&order, who] {
      point("unknown.to-it");
      point("a-step");
      order += who;
      point("last");
    };
  };
  Runs runs({pass('0'), pass('1'), pass('2')});
  // Not in turn, which is the order without a guide.
  for (const auto& [first, second, third] : {std::tuple{2, 1, 0}, std::tuple{1, 0, 2}, std::tuple{0, 2, 1}}) {
    order.clear();
    std::vector<GuideStep> steps;
    for (const int task : {first, second, third})
      steps.push_back({static_cast<std::uint8_t>(task), "a_step"}); // as models write it
    Toward toward(steps, runs.state());
    runs.run(toward);
    EXPECT_EQ(order, std::to_string(first) + std::to_string(second) + std::to_string(third));
  }
}

TEST(Scheduler, OutsideARunPointsDoNothing) {
  point("nothing");
  EXPECT_FALSE(waiting("nothing"));
  EXPECT_FALSE(holds_back(::gettid()));
}

TEST(SchedulerDeathTest, WhatCannotProceedEndsTheProcessAndSaysWhy) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        bool never = false;
        const auto wait = [&] {
          while (!never)
            waiting("wait");
        };
        Runs runs({wait, wait});
        RandomWalk random(1);
        runs.run(random);
      },
      testing::ExitedWithCode(kStuckStatus), "");
}

} // namespace proberace::schedule
