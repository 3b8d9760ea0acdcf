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

TEST(Enumeration, SeesAnEnumeratorWithoutARow) {
  static_assert(enumeration_detail::has_enumerator<Light::DarkGreen>());
  static_assert(!enumeration_detail::has_enumerator<static_cast<Light>(2)>());
}

} // namespace proberace
