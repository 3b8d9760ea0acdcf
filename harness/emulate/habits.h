// How this processor behaves where AMD's and Intel's differ: seen on Zen 4 and on Emerald Rapids. Intel's
// other processors are taken to behave like Emerald Rapids, all others like Zen 4. signal-safe: set before
// main.
#pragma once

namespace proberace {

struct Habits {
  // An offset that is not canonical before a segment's base is added is #GP; otherwise only the sum must be
  // canonical.
  bool offset_must_be_canonical = true;
  // With AC set, an unaligned access of 16 bytes that need not be aligned is #AC ("may or may not be", SDM
  // vol. 3A, 6.15, #AC).
  bool checks_unaligned_vectors = true;
  // A call to an address that is not canonical has stored its return address when it faults, and rsp is
  // unchanged (by SDM vol. 2A, CALL, nothing is pushed).
  bool faulting_call_pushes = false;
  // rol and ror of a register leave OF as it was if the instruction holds a count above one (undefined, SDM
  // vol. 2B).
  bool counted_rotation_keeps_overflow = false;
};

inline const Habits kHabits = __builtin_cpu_is("intel") ? Habits{.offset_must_be_canonical = false,
                                                                 .checks_unaligned_vectors = false,
                                                                 .faulting_call_pushes = true,
                                                                 .counted_rotation_keeps_overflow = true}
                                                        : Habits{};

} // namespace proberace
