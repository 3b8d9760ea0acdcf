#pragma once
// The BPF program that counts a uprobe's hits in the kernel.

#include "harness/base/error.h"

#include <cstdint>
#include <expected>
#include <linux/bpf.h>
#include <sys/types.h>
#include <vector>

namespace proberace {

// Of a counter in the map: the address that was hit and the thread that hit it.
struct HitCounterKey {
  std::uint64_t address = 0;
  std::uint64_t thread = 0;
};
// The counter of hits for which the map has no room.
inline constexpr HitCounterKey kLostHits{~0ULL, ~0ULL};

// The instructions, for BPF_PROG_TYPE_KPROBE. At each hit of `process` it adds one to the counter in `map` of (the
// probed instruction's address, the thread's number); other processes' hits are passed over. Numbers are those of the pid
// namespace of the caller. `map` is a hash map of HitCounterKey and std::uint64_t that holds kLostHits.
std::expected<std::vector<bpf_insn>, Error> counting_program(int map, pid_t process);

} // namespace proberace
