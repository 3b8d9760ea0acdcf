// What the manuals leave to the processor, as this one does it: seen on AMD's Zen 4 and Intel's Emerald Rapids.
// Intel's others are taken for that one, everybody else's for AMD's.
#pragma once

namespace proberace::run {

struct Habits {
  bool offset_must_be_canonical = true; // before a segment's base is added, or #GP; else only the sum must be
  bool checks_unaligned_vectors = true; // with AC set; "may or may not" (SDM vol. 2B, MOVDQU)
  bool faulting_call_pushes = false;    // below rsp, when the address called is not canonical
};

inline const Habits kHabits = __builtin_cpu_is("intel") ? Habits{false, false, true} : Habits{};

} // namespace proberace::run
