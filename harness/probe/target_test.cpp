#include "harness/probe/target.h"

#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>

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

TEST(Target, AReplacedPageIsStillKnownAsItsFile) {
  Target target;
  const Address code = address_of(::dlsym(RTLD_DEFAULT, "qsort"));
  const Site before = *target.site_at(code);
  Mapping original = *target.address_space().find(code);
  original.path = "what it was";
  target.page_taken(page_of(code), original);
  target.page_taken(page_of(code), original);
  EXPECT_EQ(target.address_space().find(code)->path, "what it was");
  EXPECT_EQ(*target.site_at(code), before);
  target.page_returned(page_of(code));
  EXPECT_EQ(target.address_space().find(code)->path, "what it was") << "one of two sites is left";
  target.page_returned(page_of(code));
  EXPECT_NE(target.address_space().find(code)->path, "what it was");
}

} // namespace proberace
