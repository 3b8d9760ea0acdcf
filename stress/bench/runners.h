// Threads that execute one body, each on its processing unit, while something else is measured.
#pragma once

#include "harness/machine/pin_plan.h"
#include "stress/code/probed_text.h"

#include <atomic>
#include <thread>

namespace proberace {

class Runners {
public:
  // Returns when all of them run. `probed` outlives this.
  Runners(const ProbedText& probed, std::size_t body, std::span<const int> cpus) {
    for (const int cpu : cpus)
      threads_.emplace_back([this, &probed, body, cpu](std::stop_token stop) {
        (void)pin_this_thread(cpu);
        Mailbox mailbox;
        started_.fetch_add(1, std::memory_order_release); // pairs with the constructor
        while (!stop.stop_requested())
          (void)probed.execute_lightly(body, mailbox);
      });
    while (started_.load(std::memory_order_acquire) < cpus.size()) // pairs with the threads
      std::this_thread::yield();
  }

private:
  std::atomic<std::size_t> started_{0};
  std::vector<std::jthread> threads_; // stopped and joined first
};

} // namespace proberace
