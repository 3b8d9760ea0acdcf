#include "harness/ptrace/turn_relay.h"

#include "harness/schedule/point.h"

namespace proberace {

TurnRelay::TurnRelay(CommandChannel& channel) {
  if constexpr (schedule::kPoints) {
    schedule::detail::open_relay();
    thread_ = std::thread([&channel] {
      while (schedule::detail::await_grant())
        channel.grant();
    });
  }
}

TurnRelay::~TurnRelay() {
  if constexpr (schedule::kPoints) {
    schedule::detail::close_relay();
    thread_.join();
  }
}

} // namespace proberace
