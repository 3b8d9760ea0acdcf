// One mapping asked for alone is what the whole list says.
#include "harness/base/address_space.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace proberace {

namespace {

TEST(AddressSpace, AnswersOneByOneWhatTheWholeListSays) {
  void* const shared = ::mmap(nullptr, 3 * kPageBytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  const AddressSpace whole = AddressSpace::read();
  const AddressSpace one_by_one = AddressSpace::on_demand();
  for (int round = 0; round < 2; ++round) // asked, then remembered
    for (const Mapping& m : whole.mappings()) {
      if (m.path == "[heap]" || m.path == "[stack]" || m.path == "[vsyscall]" || m.path.empty())
        continue; // they grow, and one of them is no mapping of the process
      const Mapping* const found = one_by_one.find(m.end - 1);
      ASSERT_NE(found, nullptr) << m.path;
      EXPECT_EQ(*found, m) << m.path;
    }
  const Mapping* const anonymous = one_by_one.find(address_of(shared) + kPageBytes);
  ASSERT_NE(anonymous, nullptr);
  EXPECT_TRUE(anonymous->shared);
  EXPECT_FALSE(anonymous->writable);
  EXPECT_EQ(one_by_one.find(Address{0}), nullptr);
  EXPECT_EQ(whole.find(Address{0}), nullptr);
  ::munmap(shared, 3 * kPageBytes);
}

// A mapping that was found stays where it is while more are asked for.
TEST(AddressSpace, KeepsItsAnswers) {
  const AddressSpace space = AddressSpace::on_demand();
  const Mapping* const first = space.find(address_of(reinterpret_cast<const void*>(&AddressSpace::read)));
  ASSERT_NE(first, nullptr);
  const Mapping before = *first;
  const AddressSpace whole = AddressSpace::read();
  for (const Mapping& m : whole.mappings())
    (void)space.find(m.start);
  EXPECT_EQ(*first, before);
  EXPECT_TRUE(first->executable);
}

} // namespace

} // namespace proberace
