#include "harness/code/target.h"

#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace proberace {

TEST(Target, KnowsFunctionsOfLibrariesBySymbolAndByFrame) {
  Target target;
  const AddressSpace space = target.address_space();
  void* const symbol = ::dlsym(RTLD_DEFAULT, "qsort");
  const auto site = target.site_at(address_of(symbol));
  ASSERT_TRUE(site) << describe(site.error());
  EXPECT_NE(site->inode, 0U);
  EXPECT_NE(site->file_offset, 0U);
  const auto function = target.functions().containing(space, address_of(symbol) + 1);
  ASSERT_TRUE(function);
  EXPECT_EQ(function->start, address_of(symbol));
  EXPECT_GT(function->end, function->start);
}

TEST(Target, RefusesWhatIsNoCode) {
  Target target;
  static int data = 0;
  EXPECT_EQ(target.site_at(Address{0x10}).error().kind, ErrorKind::NotMapped);
  EXPECT_EQ(target.site_at(address_of(&data)).error().kind, ErrorKind::NotExecutable);
}

TEST(Target, AFunctionAddedAgainIsAnotherGeneration) {
  Target target;
  const Address code = address_of(reinterpret_cast<const void*>(&std::abort));
  target.add_function(code, 16, "jitted");
  const Site first = *target.site_at(code);
  target.add_function(code, 16, "jitted again");
  const Site second = *target.site_at(code);
  EXPECT_NE(first, second);
  EXPECT_EQ(first.address, second.address);
}

// Code is generated anew over several functions, or within one.
TEST(Target, H15_AFunctionThatTakesAnothersPlaceIsTheOnlyOneThere) {
  void* const page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  const auto at = [&](std::ptrdiff_t offset) { return address_of(page) + offset; };
  Target target;
  target.add_function(at(0), 64, "first");
  target.add_function(at(64), 64, "second");
  target.add_function(at(128), 64, "third");
  const auto third = target.site_at(at(130));
  ASSERT_TRUE(third);
  target.add_function(at(32), 96, "over both");
  EXPECT_FALSE(target.site_at(at(0)));
  EXPECT_TRUE(target.site_at(at(100)));
  EXPECT_EQ(target.site_at(at(130)), *third); // beside it: as it was
  target.add_function(at(0), 256, "all");
  EXPECT_TRUE(target.site_at(at(200)));
  EXPECT_TRUE(target.site_at(at(140)));
  EXPECT_NE(target.site_at(at(130)), *third);
  ::munmap(page, kPageBytes);
}

// A copy that the armer has put there is anonymous.
TEST(Target, AReplacedPageIsStillKnownAsItsFile) {
  Target target;
  void* const page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  const Address code = address_of(page);
  target.add_function(code, 64, "f");
  const Site before = *target.site_at(code);
  Mapping original = *target.address_space().find(code);
  original.path = "what it was";
  const std::uint8_t byte = 0;
  target.site_taken(code, {&byte, 1}, {&kInt3, 1}, &original);
  target.site_taken(code + 1, {&byte, 1}, {&kInt3, 1}, &original);
  EXPECT_EQ(target.address_space().find(code)->path, "what it was");
  EXPECT_EQ(*target.site_at(code), before);
  target.site_returned(code);
  EXPECT_EQ(target.address_space().find(code)->path, "what it was") << "one of two sites is left";
  original.path = "what came over it";
  target.site_taken(code + 2, {&byte, 1}, {&kInt3, 1}, &original);
  EXPECT_EQ(target.address_space().find(code)->path, "what came over it");
  target.site_returned(code + 1);
  target.site_returned(code + 2);
  EXPECT_NE(target.address_space().find(code)->path, "what came over it");
  ::munmap(page, kPageBytes);
}

// Not if the program has mapped a file there since, nor where no page was replaced.
TEST(Target, H90_APageOfTheProgramsOwnIsKnownAsItIs) {
  const Target target;
  const Address code = address_of(::dlsym(RTLD_DEFAULT, "qsort"));
  const Mapping now = *target.address_space().find(code);
  Mapping stale = now;
  stale.path = "what it was";
  const std::uint8_t byte = 0;
  target.site_taken(code, {&byte, 1}, {&kInt3, 1}, &stale);
  EXPECT_EQ(target.address_space().find(code)->path, now.path);
  target.site_returned(code);
  target.site_taken(code, {&byte, 1}, {&kInt3, 1});
  EXPECT_EQ(target.address_space().find(code)->path, now.path);
  target.site_returned(code);
}

TEST(Target, ReadsItsOwnBytesWhereProbersHaveWritten) {
  const Target target;
  std::array<std::uint8_t, 12> memory{0x10,  0x11,  kInt3, 0x22, 0x23, 0x15,
                                      kInt3, kInt3, 0x99,  0x19, 0x1a, 0x1b};
  const Address at = address_of(memory.data());
  const std::uint8_t jump[] = {0xe9, 0x22, 0x23};
  const std::uint8_t displaced[] = {0x12, 0x13, 0x14};
  target.site_taken(at + 2, displaced, jump); // half written: int3 first
  const std::uint8_t original = 0x17;
  target.site_taken(at + 7, {&original, 1}, {&kInt3, 1});
  target.site_taken(at + 8, {&original, 1}, {&kInt3, 1}); // overwritten since by the program
  std::array<std::uint8_t, 12> read{};
  ASSERT_TRUE(target.read(at, read));
  EXPECT_EQ(read, (std::array<std::uint8_t, 12>{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, kInt3, 0x17, 0x99, 0x19,
                                                0x1a, 0x1b}));
  std::array<std::uint8_t, 2> middle{};
  ASSERT_TRUE(target.read(at + 3, middle)) << "from the middle of a patch";
  EXPECT_EQ(middle, (std::array<std::uint8_t, 2>{0x13, 0x14}));
  EXPECT_TRUE(target.holds_probe(at, 3));
  EXPECT_TRUE(target.holds_probe(at + 4, 1)) << "the last byte of a patch";
  EXPECT_FALSE(target.holds_probe(at + 5, 2));
  EXPECT_FALSE(target.holds_probe(at, 2));
  for (const std::ptrdiff_t site : {2, 7, 8})
    target.site_returned(at + site);
  EXPECT_FALSE(target.holds_probe(at, 12));
  ASSERT_TRUE(target.read(at, read));
  EXPECT_EQ(read, memory);
}

} // namespace proberace
