// A value lists its fields once, and writing, reading, adding up and comparing are made from the list:
//
//   struct Exploration {
//     std::uint64_t seed = 1;
//     std::size_t schedules = 100;
//     std::string note;
//     bool operator==(const Exploration&) const = default;
//
//     template <class Self, class Field> static void fields(Self& self, Field&& field) {
//       field("seed", self.seed);
//       field("schedules", self.schedules, kMayBeMissing, AtLeast{1});
//       field("note", self.note, kOmitEmpty);
//     }
//   };
//
// The keys and their order are those of the JSON. json_fields.h writes and reads it: write_fields(value),
// read_fields<Exploration>(json). This header is light; it names no JSON.
#pragma once

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <vector>

namespace proberace {

// Options that follow a field's member, in any order.
struct MayBeMissing {};
inline constexpr MayBeMissing kMayBeMissing; // a reader keeps the default
struct OmitEmpty {};
inline constexpr OmitEmpty kOmitEmpty; // not written while it is "", 0, false, {} or nothing; may be missing
template <class N> struct AtLeast { N low; };
template <class N> struct Between {
  N low, high; // both allowed
};

// In place of a member: a constant that names the format. field("schema", Schema{"proberace/race/2"}). A
// reader refuses any other, except those of `also`, a format whose files it reads too.
struct Schema {
  std::string_view name;
  std::string_view also{};
};

// In place of a member: written, and passed over by a reader. field("held", Computed{self.held()}).
template <class T> struct Computed { T value; };
template <class T> Computed(T) -> Computed<T>;

namespace fields_detail {
struct IgnoreField {
  template <class... A> void operator()(std::string_view, A&&...) const {}
};
template <class T> inline constexpr bool is_computed = false;
template <class T> inline constexpr bool is_computed<Computed<T>> = true;
} // namespace fields_detail

// True for what stands in the place of a member and is none.
template <class T>
inline constexpr bool kNoMember =
    std::same_as<std::remove_cvref_t<T>, Schema> || fields_detail::is_computed<std::remove_cvref_t<T>>;

template <class V>
concept HasFields = requires(V& v, fields_detail::IgnoreField f) {
  V::fields(v, f);
};

template <HasFields V> std::vector<std::string_view> field_names() {
  std::vector<std::string_view> names;
  V v{};
  V::fields(v, [&](std::string_view key, auto&&...) { names.push_back(key); });
  return names;
}

// Calls f(a.field, b.field) for each member of the list.
template <HasFields V, class F> void for_each_pair(V& a, const V& b, F&& f) {
  std::size_t i = 0;
  V::fields(a, [&](std::string_view, auto&& mine, auto...) {
    std::size_t j = 0;
    V::fields(b, [&](std::string_view, auto&& theirs, auto...) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(mine)>,
                                 std::remove_cvref_t<decltype(theirs)>> &&
                    !kNoMember<decltype(mine)>)
        if (i == j)
          f(mine, theirs);
      ++j;
    });
    ++i;
  });
}

// Adds up every field. Precondition: all are numbers, or values of such fields.
template <HasFields V> V& add_fields(V& sum, const V& more) {
  for_each_pair(sum, more, [](auto& mine, const auto& theirs) {
    if constexpr (HasFields<std::remove_cvref_t<decltype(mine)>>)
      add_fields(mine, theirs);
    else
      mine += theirs;
  });
  return sum;
}

} // namespace proberace
