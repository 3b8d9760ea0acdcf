// The memory that a cell's parent and child share. It survives the child's death, and with it what the child
// knew last. One cell runs at a time; the nursery clears the arena before each.
#pragma once

#include "harness/base/address.h"

#include <atomic>
#include <cstdint>
#include <string_view>
#include <sys/types.h>

namespace proberace {

// The last point a thread passed. Written by its own thread with plain stores; read after the child has
// ended, or while it hangs.
struct alignas(64) ThreadPoint {
  std::atomic<pid_t> thread{0};
  std::atomic<const char*> doing{nullptr}; // a string literal: parent and child are of one image
  std::atomic<Address> site{};
  std::atomic<std::uint64_t> ticket{0};

  // signal-safe.
  void pass(const char* what, Address at = {}, std::uint64_t number = 0) noexcept {
    doing.store(what, std::memory_order_relaxed); // evidence only
    site.store(at, std::memory_order_relaxed);
    ticket.store(number, std::memory_order_relaxed);
  }
};

// Written by the crash recorder, in the child, at a fatal signal.
struct CrashNote {
  static constexpr std::size_t kBytesBefore = 16;
  static constexpr std::size_t kBytesBehind = 32;

  std::atomic<bool> valid{false};
  int signal = 0;
  int code = 0; // si_code
  Address pc{};
  Address fault_address{};
  pid_t thread = 0;
  bool bytes_readable = false;
  std::uint8_t bytes[kBytesBefore + kBytesBehind] = {};
};

// How the child ended, written by the nursery.
struct ChildEnd {
  bool timed_out = false;
  int exit_status = 0; // of waitpid
  double seconds = 0;
};

struct Arena {
  static constexpr std::size_t kPoints = 512;
  static constexpr std::size_t kSpecBytes = std::size_t{256} << 10;
  static constexpr std::size_t kStandsBytes = std::size_t{64} << 10;
  static constexpr std::size_t kResultBytes = std::size_t{8} << 20;
  static constexpr std::size_t kScratchBytes = std::size_t{4} << 20;

  std::uint64_t deadline_milliseconds;
  ChildEnd end;
  CrashNote crash;
  std::atomic<std::uint32_t> points_used;
  ThreadPoint points[kPoints];
  std::atomic<std::uint32_t> result_bytes;      // 0 until the experiment has returned
  char spec[kSpecBytes];                        // JSON, zero-terminated
  char stands[kStandsBytes];                    // where each thread of a hung child stood, zero-terminated
  char result[kResultBytes];                    // JSON of the outcome
  alignas(64) std::byte scratch[kScratchBytes]; // the experiment's own: what must survive its death

  // A point for the calling thread, for the rest of the cell. When all are taken, the last one is shared.
  ThreadPoint& point_for_this_thread() noexcept;
};

} // namespace proberace
