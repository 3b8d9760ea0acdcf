// One site of `jump`, and all data that a hit touches.
#pragma once

#include "harness/base/signal_action.h"
#include "harness/code/decode.h"
#include "harness/probe/prober.h"
#include "harness/trap/address_table.h"
#include "harness/trap/thread_record.h"

namespace proberace {

enum class PatchKind {
  Jump,        // jmp rel32, all within the instruction
  Pun,         // the jump's last bytes are the unchanged bytes of the instructions behind it
  Springboard, // jmp rel8 to a jmp rel32 in int3 padding
};

constexpr std::string_view name_of(PatchKind kind) noexcept {
  switch (kind) {
  case PatchKind::Jump: return "jump";
  case PatchKind::Pun: return "pun";
  case PatchKind::Springboard: return "springboard";
  }
  return {};
}

inline constexpr std::size_t kJumpBytes = 5;                       // jmp rel32
inline constexpr std::size_t kMaxJumpSites = SiteTable::kCapacity; // over the open time of a prober

// The bytes that are written at a site. Each lies in the displaced instruction, so that no thread can stand
// between them, and no branch can lead there (H03, H04).
struct Patch {
  PatchKind kind = PatchKind::Jump;
  // First the bytes that are written, then those that the jump depends on.
  std::array<std::uint8_t, kMaxInstructionBytes + kJumpBytes> bytes{};
  std::uint8_t written = 0;
  std::uint8_t extent = 0; // bytes from the site that make up the jump, written or not (H66)
  Address springboard{};
  std::array<std::uint8_t, kJumpBytes> springboard_bytes{};
};

// Immutable once armed, except for its states; never given to another site.
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

struct JumpSession {
  ThreadRecords threads{WordsOf::Trampolines};
  // Sites by their addresses and by their springboards', for the SIGTRAP handler; written under the prober's
  // lock.
  AddressTable<JumpSite, 2 * kMaxJumpSites> table{};
  HitHandler handler = nullptr; // set while nothing is armed
  void* handler_argument = nullptr;
};

// Makes this the session that hits find. AlreadyOpen if there is another.
Status begin_jump_session(JumpSession& session);
void end_jump_session() noexcept;
// signal-safe. Null between sessions.
JumpSession* jump_session() noexcept;

// Makes SIGTRAP's action ours, if it is not; traps that are not ours are passed to the action that was there
// before.
Status take_sigtrap();
// Puts back the action that take_sigtrap found, if the action is still ours.
void give_sigtrap_back() noexcept;

} // namespace proberace
