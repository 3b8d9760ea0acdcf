#include "harness/base/process_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

// H27. Fails if the child takes its parent's batch for its own: then its write lands in the parent.
TEST(ProcessMemory, H27_AChildForkedInABatchWritesItsOwnMemory) {
  void* const mapped = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const auto* const byte = static_cast<const volatile std::uint8_t*>(mapped);
  const Address at = address_of(mapped);
  const std::uint8_t parents = 1;
  const std::uint8_t childs = 2;
  const CodeBatch batch;
  ASSERT_EQ(write_code(at, {&parents, 1}), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0)
    ::_exit(write_code(at, {&childs, 1}) == 0 && *byte == childs ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*byte, parents);
  ::munmap(mapped, kPageBytes);
}

} // namespace proberace
