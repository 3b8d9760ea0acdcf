// The one list of an enumeration: its enumerators in order, each with the name that files and messages use.
// Its size is the count, and forgetting a row, or a row out of order, does not compile.
//
//   enum class Ending { Held, Broken };
//   inline constexpr auto kEndings = enumeration<Named<Ending>>({{Ending::Held, "held"}, {Ending::Broken, "broken"}});
//   constexpr const auto& rows_of(Ending) noexcept { return kEndings; }
//
//   name(Ending::Held) == "held";  named<Ending>("broken") == Ending::Broken;  kEndings.size() == 2
//
// A row may be any struct with members `value` and `name`: further members are further columns of the table.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace proberace {

template <class E> struct Named {
  E value;
  std::string_view name; // stable: recorded
};

template <class Row, std::size_t N> using Enumeration = std::array<Row, N>;

namespace enumeration_detail {

// True if the value has an enumerator. GCC and Clang print one that lacks it as a cast: "(E)7".
template <auto Value> consteval bool has_enumerator() {
  const std::string_view function = __PRETTY_FUNCTION__;
  const std::size_t start = function.find("Value = ");
  return start != function.npos && function[start + 8] != '(';
}

// Evaluated at compile time only, where reaching it is an error that names it.
inline void row_is_missing_or_out_of_order() {}

} // namespace enumeration_detail

// How many enumerators there are, of an enumeration that counts from 0 and needs no names.
template <class E, std::size_t N = 0> consteval std::size_t enumerator_count() {
  if constexpr (enumeration_detail::has_enumerator<static_cast<E>(N)>())
    return enumerator_count<E, N + 1>();
  else
    return N;
}

template <class Row, std::size_t N> consteval Enumeration<Row, N> enumeration(const Row (&rows)[N]) {
  using E = decltype(Row::value);
  if (enumerator_count<E>() != N)
    enumeration_detail::row_is_missing_or_out_of_order();
  for (std::size_t i = 0; i < N; ++i)
    if (static_cast<std::size_t>(rows[i].value) != i || rows[i].name.empty())
      enumeration_detail::row_is_missing_or_out_of_order();
  return std::to_array(rows);
}

// An enumeration that has a list.
template <class E>
concept Enumerated = requires(E e) {
  rows_of(e).size();
};

// Signal-safe. "unknown" for a value that has no row, as one read from a damaged file.
template <Enumerated E> constexpr std::string_view name(E value) noexcept {
  const auto i = static_cast<std::size_t>(value);
  return i < rows_of(value).size() ? rows_of(value)[i].name : "unknown";
}

template <Enumerated E> constexpr std::optional<E> named(std::string_view name) noexcept {
  for (const auto& row : rows_of(E{}))
    if (row.name == name)
      return row.value;
  return std::nullopt;
}

// "held, broken, crashed": for messages that say what there is.
template <Enumerated E> std::string all_names() {
  std::string all;
  for (const auto& row : rows_of(E{})) {
    all += all.empty() ? "" : ", ";
    all += row.name;
  }
  return all;
}

} // namespace proberace
