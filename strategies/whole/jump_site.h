// One site of `jump`, and all that a hit touches.
#pragma once

#include "harness/base/signal_action.h"
#include "harness/probe/decode.h"
#include "harness/probe/prober.h"
#include "strategies/whole/jump_counters.h"

#include <memory>

namespace proberace {

enum class PatchKind {
  Jump,        // jmp rel32, all within the instruction
  Pun,         // the jump's last bytes are those of the instructions behind, as they are
  Springboard, // jmp rel8 to a jmp rel32 in int3 padding
};

inline constexpr std::size_t kJumpBytes = 5; // jmp rel32

// What is written at a site. Every written byte lies in the displaced instruction, so that no thread can
// stand, and no branch can lead, inside (H03, H04).
struct Patch {
  PatchKind kind = PatchKind::Jump;
  std::array<std::uint8_t, kMaxInstructionBytes + kJumpBytes> bytes{}; // written, then depended on
  std::uint8_t written = 0;
  std::uint8_t extent = 0; // bytes from the site that make up the jump, written or as they are (H66)
  Address springboard{};
  std::array<std::uint8_t, kJumpBytes> springboard_bytes{};
};

// Immutable once armed, but for its states; never given to another site.
struct JumpSite {
  Site site;
  Instruction instruction;
  std::uint32_t index = 0;
  Patch patch;
  Address trampoline{};
  Address displaced{};                    // the copy of the instruction, in the trampoline
  std::atomic<std::uint32_t> patching{0}; // odd while our int3 may be at the site
  std::atomic<bool> live{false};
};

// Sites, and springboards, by address, for the SIGTRAP handler. Written under the prober's lock.
class JumpTable {
public:
  // False if the table is full.
  bool add(Address at, JumpSite* site) noexcept;
  // signal-safe. Null if there is none.
  JumpSite* find(Address at) const noexcept;

private:
  struct Entry {
    std::atomic<std::uintptr_t> key{0};
    std::atomic<JumpSite*> site{nullptr};
  };
  static constexpr std::size_t kBuckets = kMaxJumpSites * 4;
  static std::size_t bucket(Address a) noexcept {
    return static_cast<std::size_t>((value(a) * 0x9E3779B97F4A7C15ULL) >> 45) % kBuckets;
  }
  std::unique_ptr<Entry[]> entries_ = std::make_unique<Entry[]>(kBuckets);
};

struct JumpSession {
  JumpCounters counters{};
  JumpTable table{};
  HitHandler handler = nullptr; // set while nothing is armed
  void* handler_argument = nullptr;
};

// Makes the session the one that hits find. AlreadyOpen if there is another.
Status begin_jump_session(JumpSession& session);
void end_jump_session() noexcept;
// signal-safe. Null between sessions.
JumpSession* jump_session() noexcept;

// Makes SIGTRAP's action ours, if it is not; whoever had it gets what is not ours.
Status take_sigtrap();
// Puts back what take_sigtrap found, if the action is still ours.
void give_sigtrap_back() noexcept;

} // namespace proberace
