#include "strategies/whole/jump_departure.h"

#include "harness/base/address_space.h"
#include "harness/base/process_memory.h"
#include "harness/base/signal_action.h"
#include "harness/base/threads.h"

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kGraceTimeout{5};
constexpr std::chrono::milliseconds kPollInterval{1};
// Longer than one accounting tick at HZ=100 and the microseconds of a trampoline or an exception.
constexpr std::uint64_t kRunNanosecondsToHaveLeft = 12'000'000;

struct Look {
  bool exists = false;
  bool asleep = false;
  bool trap_pending = false;
  std::uint64_t run_nanoseconds = 0;
};

// proc(5): status (State, SigPnd) and schedstat (first field: time on a CPU).
Look look_at(pid_t thread) {
  Look look;
  std::ifstream status(fmt::format("/proc/self/task/{}/status", thread));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("State:\t")) {
      look.exists = line[7] != 'Z' && line[7] != 'X';
      look.asleep = line[7] == 'S' || line[7] == 'I';
    } else if (line.starts_with("SigPnd:\t")) {
      look.trap_pending = (std::stoull(line.substr(8), nullptr, 16) & signal_bit(SIGTRAP)) != 0;
    }
  }
  std::ifstream(fmt::format("/proc/self/task/{}/schedstat", thread)) >> look.run_nanoseconds;
  return look;
}

// A signal frame as the kernel lays it out (arch/x86/include/asm/sigframe.h, rt_sigframe): restorer, then the
// ucontext, whose general registers begin at byte 40 (uapi/asm/sigcontext.h): RIP is the 17th, then flags,
// then the selectors.
constexpr std::size_t kWordsBeforeRip = 1 + 5 + 16;
constexpr std::uint16_t kUserCodeSelector = 0x33;

std::uint64_t our_restorer() {
  static const std::uint64_t address =
      reinterpret_cast<std::uint64_t>(current_signal_action(SIGTRAP).restorer);
  return address;
}

// Whether the stack from `from` up holds a frame whose PC is ours. Frames of our own SIGTRAP handler are
// stale: it does not sleep.
bool frame_on_stack(const AddressSpace& space, Address from, const std::function<bool(Address)>& ours) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  const Mapping* const stack = space.find(from);
  if (stack == nullptr || !stack->readable)
    return false;
  std::vector<std::uint64_t> words(std::min(kMostBytes, static_cast<std::size_t>(stack->end - from)) /
                                   sizeof(std::uint64_t));
  if (!read_memory(from, {reinterpret_cast<std::uint8_t*>(words.data()), words.size() * sizeof words[0]}))
    return false;
  for (std::size_t i = kWordsBeforeRip; i + 2 < words.size(); ++i)
    if ((words[i + 2] & 0xFFFF) == kUserCodeSelector && ours(Address{words[i]}) &&
        words[i - kWordsBeforeRip] != our_restorer())
      return true;
  return false;
}

// proc(5), syscall: "running", or a system call's number, arguments, sp and pc, or "-1 sp pc".
bool asleep_inside(const AddressSpace& space, pid_t thread, const std::function<bool(Address)>& ours) {
  std::ifstream file(fmt::format("/proc/self/task/{}/syscall", thread));
  std::vector<std::string> fields;
  for (std::string field; file >> field;)
    fields.push_back(field);
  if (fields.size() < 3)
    return true; // running again
  const Address pc{std::stoull(fields[fields.size() - 1], nullptr, 16)};
  const Address sp{std::stoull(fields[fields.size() - 2], nullptr, 16) & ~std::uint64_t{7}};
  return ours(pc) || frame_on_stack(space, sp, ours);
}

bool in_handler(const JumpCounters& counters, pid_t thread) {
  bool found = false;
  counters.for_each([&](const CounterBlock& b) {
    found |= b.owner.load(std::memory_order_relaxed) == thread && // a label
             b.depth.load(std::memory_order_acquire) != 0;        // pairs with the end of a hit
  });
  return found;
}

} // namespace

Status wait_for_jump_departure(const JumpCounters& counters, const std::function<bool(Address)>& ours) {
  const auto deadline = Clock::now() + kGraceTimeout;
  std::map<pid_t, std::uint64_t> first_seen; // run time then
  for (;;) {
    pid_t waiting_for = 0;
    const AddressSpace space = AddressSpace::read();
    for (const pid_t thread : threads_of_this_process()) {
      if (thread == current_thread())
        continue;
      const Look look = look_at(thread);
      if (!look.exists)
        continue;
      const auto [seen, fresh] = first_seen.try_emplace(thread, look.run_nanoseconds);
      const bool left = look.asleep ? !asleep_inside(space, thread, ours)
                                    : look.run_nanoseconds >= seen->second + kRunNanosecondsToHaveLeft;
      if (!left || look.trap_pending || in_handler(counters, thread))
        waiting_for = thread;
    }
    if (waiting_for == 0)
      return {};
    if (Clock::now() > deadline)
      return std::unexpected(Error{ErrorKind::NotQuiescent,
                                   {},
                                   fmt::format("thread {} has not left a trampoline within {} s", waiting_for,
                                               kGraceTimeout.count())});
    std::this_thread::sleep_for(kPollInterval);
  }
}

} // namespace proberace
