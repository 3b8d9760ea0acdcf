#include "harness/base/json_fields.h"

#include <gtest/gtest.h>
#include <limits>

namespace proberace {

namespace {

enum class Colour { Red, DarkGreen };
constexpr auto kColours =
    enumeration<Named<Colour>>({{Colour::Red, "red"}, {Colour::DarkGreen, "dark-green"}});
constexpr const auto& rows_of(Colour) noexcept {
  return kColours;
}

struct Inner {
  std::uint8_t small = 7;
  std::optional<double> ratio;
  bool operator==(const Inner&) const = default;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("small", self.small);
    field("ratio", self.ratio);
  }
};

struct Outer {
  std::uint64_t seed = 1;
  std::int64_t change = 0;
  int share = 50;
  std::string note;
  Colour colour = Colour::Red;
  std::vector<Inner> rows;
  std::map<std::string, std::size_t> counts;
  bool set = false;
  Json anything;
  bool operator==(const Outer&) const = default;
  bool held() const { return rows.empty(); }

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"test/2", "test/1"});
    field("seed", self.seed);
    field("change", self.change, kMayBeMissing);
    field("share", self.share, Between{0, 100}, kMayBeMissing);
    field("note", self.note, kOmitEmpty);
    field("colour", self.colour);
    field("rows", self.rows);
    field("counts", self.counts, kMayBeMissing);
    field("set", self.set, kMayBeMissing);
    field("anything", self.anything, kMayBeMissing);
    field("held", Computed{self.held()});
  }
};

struct ByNumber {
  std::map<int, int> threads;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("threads", self.threads);
  }
};

struct Sums {
  std::uint64_t hits = 0, removed = 0;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("hits", self.hits);
    field("removed", self.removed);
    field("sum", Computed{self.hits + self.removed});
  }
};

Outer example() {
  Outer o;
  o.seed = std::numeric_limits<std::uint64_t>::max();
  o.change = -3;
  o.note = "odd \"text\"";
  o.colour = Colour::DarkGreen;
  o.rows = {{255, 0.5}, {0, std::nullopt}};
  o.counts = {{"a", 1}};
  o.set = true;
  o.anything = Json{1, "two"};
  return o;
}

std::string refusal(const Json& json, UnknownKeys unknown = UnknownKeys::Ignored) {
  const auto read = read_fields<Outer>(json, unknown);
  return read ? "accepted" : read.error().message;
}

// The message about an example whose `key` was replaced.
std::string refusal_with(const char* key, const Json& value) {
  Json json = write_fields(example());
  json[key] = value;
  return refusal(json);
}

} // namespace

TEST(Fields, SurviveTheWayThroughText) {
  const auto back = read_fields<Outer>(Json::parse(write_fields(example()).dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, example());
}

TEST(Fields, AreWrittenInTheOrderOfTheList) {
  Outer o = example();
  o.rows.clear();
  o.note.clear(); // omitted
  EXPECT_EQ(write_fields(o).dump(),
            R"({"schema":"test/2","seed":18446744073709551615,"change":-3,"share":50,)"
            R"("colour":"dark-green","rows":[],"counts":{"a":1},"set":true,)"
            R"("anything":[1,"two"],"held":true})");
}

TEST(Fields, LeftOutKeepTheirDefaults) {
  Outer other_defaults;
  other_defaults.share = 10;
  const Json least{{"schema", "test/1"}, {"seed", 4}, {"colour", "red"}, {"rows", Json::array()}};
  const auto read = read_fields<Outer>(least, UnknownKeys::Refused, other_defaults);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->seed, 4U);
  EXPECT_EQ(read->share, 10);
  EXPECT_EQ(read->note, "");
}

TEST(Fields, RefusalsNameTheFieldAndWhatWasExpected) {
  EXPECT_EQ(refusal(Json(3)), "expected an object, not 3");
  EXPECT_EQ(refusal_with("schema", "other/1"),
            R"(field 'schema': expected "test/2" or "test/1", not "other/1")");
  EXPECT_EQ(refusal_with("seed", "x"), R"(field 'seed': expected a whole number from 0, not "x")");
  EXPECT_EQ(refusal_with("seed", -1), "field 'seed': expected a whole number from 0, not -1");
  EXPECT_EQ(refusal_with("seed", 1.5), "field 'seed': expected a whole number from 0, not 1.5");
  EXPECT_EQ(refusal_with("change", std::numeric_limits<std::uint64_t>::max()),
            "field 'change': expected a whole number, not 18446744073709551615");
  EXPECT_EQ(refusal_with("share", 101), "field 'share': expected 0 to 100, not 101");
  EXPECT_EQ(refusal_with("share", -1), "field 'share': expected 0 to 100, not -1");
  EXPECT_EQ(refusal_with("share", 3000000000),
            "field 'share': expected a whole number from -2147483648 to 2147483647, not 3000000000");
  EXPECT_EQ(refusal_with("note", nullptr), "field 'note': expected a string, not null");
  EXPECT_EQ(refusal_with("colour", "blue"), R"(field 'colour': expected one of red, dark-green, not "blue")");
  EXPECT_EQ(refusal_with("set", 1), "field 'set': expected true or false, not 1");
  EXPECT_EQ(refusal_with("rows", Json::object()), "field 'rows': expected an array, not {}");
  EXPECT_EQ(refusal_with("counts", Json{{"a", "b"}}),
            R"(field 'counts.a': expected a whole number from 0, not "b")");
}

TEST(Fields, RefusalsSayWhereInside) {
  Json json = write_fields(example());
  json["rows"][1]["ratio"] = "half";
  EXPECT_EQ(refusal(json), R"(field 'rows[1].ratio': expected a number or null, not "half")");
  json["rows"][1].erase("ratio");
  EXPECT_EQ(refusal(json), "field 'rows[1].ratio' is missing: expected a number or null");
  json["rows"][0]["small"] = 256;
  EXPECT_EQ(refusal(json), "field 'rows[0].small': expected a whole number from 0 to 255, not 256");
  json["rows"][0] = "none";
  EXPECT_EQ(refusal(json), R"(field 'rows[0]': expected an object, not "none")");
}

TEST(Fields, UnknownKeysAreRefusedWhereAPersonTypes) {
  Json json = write_fields(example());
  json["rows"][0]["sead"] = 1;
  EXPECT_EQ(refusal(json), "accepted");
  EXPECT_EQ(refusal(json, UnknownKeys::Refused),
            "field 'rows[0].sead' is unknown: expected only 'small', 'ratio'");
}

TEST(Fields, MapsMayHaveNumbersForKeys) {
  const ByNumber some{{{9, 1}, {10, 2}}};
  EXPECT_EQ(write_fields(some).dump(), R"({"threads":{"9":1,"10":2}})");
  EXPECT_EQ(read_fields<ByNumber>(write_fields(some))->threads, some.threads);
  EXPECT_EQ(read_fields<ByNumber>(Json{{"threads", {{"x", 1}}}}).error().message,
            "field 'threads.x' is no whole number");
}

TEST(Fields, AWrongValueIsShownShortened) {
  const std::string said = refusal_with("seed", std::string(1000, 'x'));
  EXPECT_LT(said.size(), 150U) << said;
}

TEST(Fields, AddUp) {
  Sums sum{1, 2};
  add_fields(sum, Sums{10, 20});
  EXPECT_EQ(sum.hits, 11U);
  EXPECT_EQ(sum.removed, 22U);
}

} // namespace proberace
