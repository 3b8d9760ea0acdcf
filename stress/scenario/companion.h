// A thread that executes code of an act's own, again and again, while the act arms and removes probes there. The act
// counts nothing meanwhile.
#pragma once

#include "stress/code/mailbox.h"
#include "stress/scenario/own_probes.h"

#include <atomic>
#include <thread>
#include <vector>

namespace proberace {

class Companion {
public:
  // Executes the functions in turn until it is destroyed. Under control, where a scheduler knows all threads, there is
  // none. The code stays as it is until then, apart from probes.
  Companion(const OwnProbes& own, std::vector<Address> entries);
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;
  // Notes it if an execution was wrong.
  ~Companion();

private:
  void execute() noexcept;

  const OwnProbes& own_;
  const std::vector<Address> entries_;
  std::atomic<bool> done_{false};
  std::atomic<std::uint64_t> executions_{0};
  bool wrong_ = false; // read after the thread has ended
  SharedWords words_{};
  Mailbox mailbox_{};
  std::thread thread_{};
};

} // namespace proberace
