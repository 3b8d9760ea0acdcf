#include "harness/trap/guarded_memory.h"

#include <csignal>
#include <gtest/gtest.h>

namespace proberace {

// Fails if the question is put to the kernel as a null pointer, which for it is no argument at all.
TEST(GuardedMemory, H32_NobodyReadsAddressZero) {
  for (const std::uintptr_t at : {0U, 1U, 7U, 8U}) {
    HardwareFault fault;
    EXPECT_FALSE(readable(Address{at}, 1, fault)) << at;
    EXPECT_EQ(fault.signal, SIGSEGV);
    EXPECT_EQ(fault.code, SEGV_MAPERR);
    EXPECT_EQ(fault.address, Address{at});
    EXPECT_FALSE(writable(Address{at}, 1, fault)) << at;
  }
}

} // namespace proberace
