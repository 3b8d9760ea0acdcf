#include "stress/scenario/companion.h"

#include "harness/base/process_memory.h"
#include "stress/scenario/broken_properties.h"

namespace proberace {

Companion::Companion(const OwnProbes& own, std::vector<Address> entries)
    : own_(own), entries_(std::move(entries)) {
  if (own.controlled() || entries_.empty())
    return;
  mailbox_.wide = __builtin_cpu_supports("avx2") != 0 ? 1 : 0;
  mailbox_.shared = &words_;
  thread_ = std::thread([this] { execute(); });
  while (executions_.load(std::memory_order_relaxed) == 0)
    std::this_thread::yield();
}

Companion::~Companion() {
  if (!thread_.joinable())
    return;
  done_.store(true, std::memory_order_relaxed);
  thread_.join();
  if (wrong_)
    own_.note(property_name(Fault::WrongResult),
              "in a thread that executes it while it is armed and removed");
}

void Companion::execute() noexcept {
  for (std::size_t at = 0; !done_.load(std::memory_order_relaxed);
       at = at + 1 == entries_.size() ? 0 : at + 1) {
    mailbox_.ticket = mailbox_.ticket + 1;
    const std::uint64_t ticket = mailbox_.ticket;
    const std::uint64_t result = proberace_call_body(bytes_at(entries_[at]), ticket, ticket, &mailbox_);
    wrong_ = wrong_ || result != expected_result(ticket) || mailbox_.strays != 0;
    executions_.fetch_add(1, std::memory_order_relaxed);
  }
}

} // namespace proberace
