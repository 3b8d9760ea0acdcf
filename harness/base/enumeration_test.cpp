#include "harness/base/enumeration.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

enum class Light { Red, DarkGreen };
constexpr auto kLights = enumeration<Named<Light>>({{Light::Red, "red"}, {Light::DarkGreen, "dark-green"}});
constexpr const auto& rows_of(Light) noexcept {
  return kLights;
}

} // namespace

TEST(Enumeration, NamesAndIsFoundByName) {
  static_assert(kLights.size() == 2 && name(Light::DarkGreen) == "dark-green");
  EXPECT_EQ(named<Light>("dark-green"), Light::DarkGreen);
  EXPECT_EQ(named<Light>("blue"), std::nullopt);
  EXPECT_EQ(name(static_cast<Light>(9)), "unknown");
  EXPECT_EQ(all_names<Light>(), "red, dark-green");
}

TEST(Enumeration, CountsEnumerators) {
  static_assert(enumerator_count<Light>() == 2);
  enum class Empty {};
  static_assert(enumerator_count<Empty>() == 0);
}

} // namespace proberace
