// The channel between a prober and its supervisor: one command at a time in shared memory, and a socket that
// says whose turn it is and whether the other side lives.
//
// Only single bytes cross the socket, so that the supervisor never waits for the rest of a message from a
// thread that itself waits, in a hit, for the supervisor.
#pragma once

#include "harness/base/error.h"
#include "harness/code/decode.h"
#include "harness/code/site.h"
#include "harness/probe/footprint.h"
#include "harness/probe/paths.h"

#include <cstdint>
#include <sys/types.h>

namespace proberace {

enum class Order : std::uint32_t { Attach, Arm, Disarm, Hits, ThreadHits, Paths, Footprint, Close };

// An Error without allocation.
struct PlainError {
  bool failed = false;
  ErrorKind kind = ErrorKind::System;
  Address address{};
  char message[232] = {};

  void set(const Status& status) noexcept;
  Status get() const;
};

struct CommandSite {
  Site site{};
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  std::uint8_t length = 0;
  PlainError error{};
};

struct Command {
  static constexpr std::size_t kSites = 512;
  // The meaning of a byte on the socket.
  static constexpr char kTurn = 0;
  static constexpr char kGrant = 1;

  pid_t supervisor = 0; // once it runs
  Order order = Order::Attach;
  pid_t thread = 0; // the one that gives the order; of ThreadHits, the one whose hits are asked for
  std::uint32_t count = 0;
  std::uint64_t hits = 0;
  PathCounts paths{};
  Footprint footprint{};
  PlainError error{};
  CommandSite sites[kSites];
};

// The prober's end.
class CommandChannel {
public:
  CommandChannel() = default;
  CommandChannel(const CommandChannel&) = delete;
  CommandChannel& operator=(const CommandChannel&) = delete;
  ~CommandChannel() { close(); }

  // Makes the shared memory and the sockets. Returns the supervisor's socket, which the caller closes after
  // the fork.
  std::expected<int, Error> open();
  void close() noexcept;

  Command& command() noexcept { return *command_; }
  // Hands the command over and waits until it is done. System if the supervisor has ended.
  Status carry_out() noexcept;
  // Waits for one turn of the supervisor, which is its birth. False if it has ended.
  bool await_turn() noexcept;
  // In a controlled run: lets threads continue that the supervisor has stopped (Supervisor::serve_granted).
  void grant() noexcept;
  // The same with an order after which the supervisor ends; returns when it has ended.
  Status carry_out_last() noexcept;

private:
  Command* command_ = nullptr;
  int socket_ = -1;
};

} // namespace proberace
