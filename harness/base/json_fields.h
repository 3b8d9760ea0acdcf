// JSON of values that list their fields (fields.h).
//
//   Json json = write_fields(value);              // keys in the order of the list
//   std::expected<V, Error> v = read_fields<V>(json);
//
// A refusal is one line that names the field and says what was expected:
//   field 'rows[3].median' is missing: expected a number
//   field 'seed': expected a whole number from 0, not "x"
//
// A field may be a truth value, a number, a string, an enumeration with a list (by name), Json itself, an optional
// (null), a vector, a map by
// strings or whole numbers, or another value with fields. A type whose JSON is something else (an
// address as text, a schedule) specialises JsonForm.
#pragma once

#include "harness/base/enumeration.h"
#include "harness/base/error.h"
#include "harness/base/fields.h"
#include "harness/base/json.h"

#include <algorithm>
#include <charconv>
#include <expected>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace proberace {

// template <> struct JsonForm<T> {
//   static Json write(const T&);
//   static std::optional<T> read(const Json&);
//   static std::string expected(); // "a schedule as text"
// };
template <class T> struct JsonForm;

enum class UnknownKeys { Ignored, Refused };

namespace fields_detail {

template <class T>
concept HasForm = requires(const T& t) {
  JsonForm<T>::write(t);
};

template <class T> inline constexpr bool is_optional = false;
template <class T> inline constexpr bool is_optional<std::optional<T>> = true;
template <class T> inline constexpr bool is_vector = false;
template <class T> inline constexpr bool is_vector<std::vector<T>> = true;
template <class T> inline constexpr bool is_map = false;
template <class K, class T> inline constexpr bool is_map<std::map<K, T>> = true;
template <class T> inline constexpr bool is_between = false;
template <class N> inline constexpr bool is_between<Between<N>> = true;
template <class T> inline constexpr bool is_at_least = false;
template <class N> inline constexpr bool is_at_least<AtLeast<N>> = true;

template <class T> Json write_value(const T& value);

struct Writer {
  Json& out;
  template <class M, class... Rules> void operator()(std::string_view key, M&& member, Rules...) const {
    using T = std::remove_cvref_t<M>;
    if constexpr ((std::same_as<Rules, OmitEmpty> || ...))
      if (member == T{})
        return;
    if constexpr (std::same_as<T, Schema>)
      out[std::string(key)] = member.name;
    else if constexpr (is_computed<T>)
      out[std::string(key)] = write_value(member.value);
    else
      out[std::string(key)] = write_value(member);
  }
};

template <class T> Json write_value(const T& value) {
  if constexpr (HasForm<T>) {
    return JsonForm<T>::write(value);
  } else if constexpr (HasFields<T>) {
    Json out = Json::object();
    T::fields(value, Writer{out});
    return out;
  } else if constexpr (Enumerated<T>) {
    return Json(name(value));
  } else if constexpr (is_optional<T>) {
    return value ? write_value(*value) : Json(nullptr);
  } else if constexpr (is_vector<T>) {
    Json out = Json::array();
    for (const auto& element : value)
      out.push_back(write_value(element));
    return out;
  } else if constexpr (is_map<T>) {
    Json out = Json::object();
    for (const auto& [key, element] : value)
      out[fmt::format("{}", key)] = write_value(element);
    return out;
  } else {
    return Json(value);
  }
}

// Why a value was not read: which one, and in words.
struct Refusal {
  std::string path;
  std::string words;
};
inline std::unexpected<Refusal> refuse(std::string words) {
  return std::unexpected(Refusal{"", std::move(words)});
}
inline std::unexpected<Refusal> inside(const std::string& outer, Refusal inner) {
  const bool joined = inner.path.empty() || inner.path.front() == '[';
  return std::unexpected(Refusal{outer + (joined ? "" : ".") + inner.path, std::move(inner.words)});
}

std::string shown(const Json& json); // shortened
std::string quoted_list(const std::vector<std::string_view>& names);

template <class T> std::string expected_words() {
  if constexpr (HasForm<T>)
    return JsonForm<T>::expected();
  else if constexpr (std::same_as<T, bool>)
    return "true or false";
  else if constexpr (std::integral<T>) {
    if constexpr (sizeof(T) < 8)
      return fmt::format("a whole number from {} to {}", std::numeric_limits<T>::min(),
                         std::numeric_limits<T>::max());
    else
      return std::unsigned_integral<T> ? "a whole number from 0" : "a whole number";
  } else if constexpr (std::floating_point<T>)
    return "a number";
  else if constexpr (Enumerated<T>)
    return fmt::format("one of {}", all_names<T>());
  else if constexpr (is_optional<T>)
    return fmt::format("{} or null", expected_words<typename T::value_type>());
  else if constexpr (is_vector<T>)
    return "an array";
  else if constexpr (std::convertible_to<std::string, T>)
    return "a string";
  else
    return "an object";
}

template <class T> std::unexpected<Refusal> not_as_expected(const Json& json) {
  return refuse(fmt::format("expected {}, not {}", expected_words<T>(), shown(json)));
}

template <class T> std::expected<T, Refusal> read_value(const Json& json, UnknownKeys unknown);

// False if the map has numbers for keys, and this is none.
template <class K, class T> bool add_by_key(std::map<K, T>& all, const std::string& text, T value) {
  if constexpr (std::integral<K>) {
    K key{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key);
    return error == std::errc() && end == text.data() + text.size() &&
           all.emplace(key, std::move(value)).second;
  } else {
    return all.emplace(text, std::move(value)).second;
  }
}

// `rule` of a field that has been read, or "" if it holds.
template <class T, class Rule> std::string broken_rule(const T& value, const Rule& rule) {
  const auto below = [](const auto& a, const auto& b) {
    if constexpr (std::integral<std::remove_cvref_t<decltype(a)>> &&
                  std::integral<std::remove_cvref_t<decltype(b)>>)
      return std::cmp_less(a, b);
    else
      return a < b;
  };
  if constexpr (is_between<Rule>) {
    if (below(value, rule.low) || below(rule.high, value))
      return fmt::format("expected {} to {}, not {}", rule.low, rule.high, value);
  } else if constexpr (is_at_least<Rule>) {
    if (below(value, rule.low))
      return fmt::format("expected at least {}, not {}", rule.low, value);
  }
  return "";
}

struct Reader {
  const Json& in;
  UnknownKeys unknown;
  std::optional<Refusal> refusal{};
  std::vector<std::string_view> known{};

  template <class M, class... Rules> void operator()(std::string_view key, M&& member, Rules... rules) {
    using T = std::remove_cvref_t<M>;
    known.push_back(key);
    if (refusal || is_computed<T>)
      return;
    if constexpr (!is_computed<T>) {
      const auto found = in.find(std::string(key));
      if (found == in.end()) {
        if (!((std::same_as<Rules, MayBeMissing> || std::same_as<Rules, OmitEmpty>) || ...))
          refusal = Refusal{std::string(key), "is missing: expected " + expectation(member)};
        return;
      }
      if constexpr (std::same_as<T, Schema>) {
        if (*found != Json(member.name) && (member.also.empty() || *found != Json(member.also)))
          refusal = Refusal{std::string(key),
                            fmt::format("expected {}, not {}", expectation(member), shown(*found))};
      } else {
        auto value = read_value<T>(*found, unknown);
        if (!value) {
          refusal = inside(std::string(key), std::move(value.error())).error();
          return;
        }
        std::string broken;
        ((broken = broken.empty() ? broken_rule(*value, rules) : broken), ...);
        if (!broken.empty())
          refusal = Refusal{std::string(key), broken};
        else
          member = std::move(*value);
      }
    }
  }

  template <class T> static std::string expectation(const T& member) {
    if constexpr (std::same_as<T, Schema>)
      return fmt::format("\"{}\"{}", member.name,
                         member.also.empty() ? "" : fmt::format(" or \"{}\"", member.also));
    else
      return expected_words<T>();
  }
};

template <class T>
std::expected<T, Refusal> read_value_with_fields(const Json& json, UnknownKeys unknown, T value) {
  if (!json.is_object())
    return not_as_expected<T>(json);
  Reader reader{json, unknown};
  T::fields(value, reader);
  if (reader.refusal)
    return std::unexpected(std::move(*reader.refusal));
  if (unknown == UnknownKeys::Refused)
    for (const auto& [key, _] : json.items())
      if (std::ranges::find(reader.known, key) == reader.known.end())
        return std::unexpected(
            Refusal{key, fmt::format("is unknown: expected only {}", quoted_list(reader.known))});
  return value;
}

template <class T> std::expected<T, Refusal> read_value(const Json& json, UnknownKeys unknown) {
  if constexpr (HasForm<T>) {
    if (std::optional<T> value = JsonForm<T>::read(json))
      return std::move(*value);
  } else if constexpr (std::same_as<T, Json>) {
    return json;
  } else if constexpr (HasFields<T>) {
    return read_value_with_fields<T>(json, unknown, T{});
  } else if constexpr (std::same_as<T, bool>) {
    if (json.is_boolean())
      return json.get<bool>();
  } else if constexpr (std::integral<T>) {
    if (json.is_number_unsigned() && std::in_range<T>(json.get<std::uint64_t>()))
      return static_cast<T>(json.get<std::uint64_t>());
    if (json.is_number_integer() && !json.is_number_unsigned() && std::in_range<T>(json.get<std::int64_t>()))
      return static_cast<T>(json.get<std::int64_t>());
  } else if constexpr (std::floating_point<T>) {
    if (json.is_number())
      return json.get<T>();
  } else if constexpr (Enumerated<T>) {
    if (json.is_string())
      if (const std::optional<T> value = named<T>(json.get_ref<const std::string&>()))
        return *value;
  } else if constexpr (is_optional<T>) {
    if (json.is_null())
      return T{};
    auto value = read_value<typename T::value_type>(json, unknown);
    if (value)
      return T{std::move(*value)};
    if (!value.error().path.empty())
      return std::unexpected(std::move(value.error()));
  } else if constexpr (is_vector<T>) {
    if (json.is_array()) {
      T all;
      for (const Json& element : json) {
        auto value = read_value<typename T::value_type>(element, unknown);
        if (!value)
          return inside(fmt::format("[{}]", all.size()), std::move(value.error()));
        all.push_back(std::move(*value));
      }
      return all;
    }
  } else if constexpr (is_map<T>) {
    if (json.is_object()) {
      T all;
      for (const auto& [key, element] : json.items()) {
        auto value = read_value<typename T::mapped_type>(element, unknown);
        if (!value)
          return inside(key, std::move(value.error()));
        if (!add_by_key(all, key, std::move(*value)))
          return std::unexpected(Refusal{key, "is no whole number"});
      }
      return all;
    }
  } else {
    if (json.is_string())
      return json.get<T>();
  }
  return not_as_expected<T>(json);
}

Error error_of(const Refusal& refusal);

} // namespace fields_detail

template <class V> Json write_fields(const V& value) {
  return fields_detail::write_value(value);
}

// BadInput. What `json` may leave out stays as it is in `defaults`.
template <HasFields V>
std::expected<V, Error> read_fields(const Json& json, UnknownKeys unknown = UnknownKeys::Ignored,
                                    V defaults = {}) {
  auto value = fields_detail::read_value_with_fields<V>(json, unknown, std::move(defaults));
  if (!value)
    return std::unexpected(fields_detail::error_of(value.error()));
  return std::move(*value);
}

} // namespace proberace
