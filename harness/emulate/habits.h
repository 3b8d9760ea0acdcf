// Where makers' processors differ, as this one does it: seen on AMD's Zen 4 and Intel's Emerald Rapids.
// Intel's others are taken for that one, everybody else's for AMD's. signal-safe: set before main.
#pragma once

namespace proberace {

struct Habits {
  // #GP for an offset that is not canonical before a segment's base is added; else only the sum must be.
  bool offset_must_be_canonical = true;
  // #AC for 16 bytes that need not be aligned, where AC is set ("may or may not be", SDM vol. 3A, 6.15,
  // #AC).
  bool checks_unaligned_vectors = true;
  // A call to an address that is not canonical has stored its return address when it faults, below an rsp that
  // stays (SDM vol. 2A, CALL, has nothing pushed).
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
