#include "stress/names/probe_name.h"

#include "harness/base/failure.h"

#include <charconv>
#include <string_view>

namespace proberace {

namespace {

template <typename Number> std::optional<Number> number_in(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal)
    text.remove_prefix(2);
  Number number = 0;
  const char* const end = text.end();
  const auto [stopped, error] = std::from_chars(text.begin(), end, number, hexadecimal ? 16 : 10);
  return error == std::errc{} && stopped == end && number >= 0 ? std::optional(number) : std::nullopt;
}

// A quoted part at the beginning of the text, which it is taken from. Nullopt if its quote is never closed.
std::optional<ProbeName::Part> take_quoted(std::string_view& text) {
  ProbeName::Part part{.quoted = true};
  const char quote = text.front();
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == quote || text[at + 1] == '\\')) {
      part.text += text[++at];
    } else if (text[at] == quote) {
      text.remove_prefix(at + 1);
      return part;
    } else {
      part.text += text[at];
    }
  }
  return std::nullopt;
}

bool begins_quoted(std::string_view text) {
  return !text.empty() && (text.front() == '"' || text.front() == '\'');
}

// The first : that is not one of two.
std::size_t lone_colon(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != ':')
      continue;
    if (at + 1 == text.size() || text[at + 1] != ':')
      return at;
    if (at + 2 < text.size() && text[at + 2] == ':')
      return at; // object:::name
    ++at;
  }
  return std::string_view::npos;
}

class Readings {
public:
  explicit Readings(const std::string& text) : text_(text) {}

  void add_function(const std::optional<ProbeName::Part>& object, std::string_view rest) {
    ProbeName name{.text = text_, .object = object};
    if (begins_quoted(rest)) {
      std::string_view behind = rest;
      if (const auto part = take_quoted(behind)) {
        name.function = *part;
        if (add_tail(name, behind))
          return;
      }
    }
    name.function.text = rest;
    if (object)
      name.address = rest.starts_with("0x") ? number_in<std::uint64_t>(rest) : std::nullopt;
    all_.push_back(name);
    if (name.address)
      return;
    const std::size_t plus = rest.rfind('+');
    const std::size_t at = rest.find('@', 1);
    if (plus != std::string_view::npos && plus != 0)
      if (const auto offset = number_in<std::ptrdiff_t>(rest.substr(plus + 1))) {
        name.offset = *offset;
        name.function.text = rest.substr(0, plus);
        all_.push_back(name);
        if (at < plus)
          add_version(name, at);
        name.offset = 0;
        name.function.text = rest;
      }
    if (at != std::string_view::npos)
      add_version(name, at);
  }

  std::vector<ProbeName> take() { return std::move(all_); }

private:
  void add_version(ProbeName name, std::size_t at) {
    const std::string whole = name.function.text;
    const std::size_t version = whole.find_first_not_of('@', at);
    if (version == std::string::npos)
      return;
    name.version = whole.substr(version);
    name.function.text = whole.substr(0, at);
    all_.push_back(name);
  }

  // What stands behind a quoted function: [@VERSION][+OFFSET].
  bool add_tail(ProbeName name, std::string_view tail) {
    const std::size_t plus = tail.rfind('+');
    if (plus != std::string_view::npos) {
      const auto offset = number_in<std::ptrdiff_t>(tail.substr(plus + 1));
      if (!offset)
        return false;
      name.offset = *offset;
      tail = tail.substr(0, plus);
    }
    const std::size_t version = tail.find_first_not_of('@');
    if (!tail.empty() && (tail.front() != '@' || version == std::string_view::npos))
      return false;
    if (!tail.empty())
      name.version = tail.substr(version);
    all_.push_back(name);
    return true;
  }

  const std::string text_;
  std::vector<ProbeName> all_;
};

} // namespace

bool is_pattern(const ProbeName::Part& part) {
  return !part.quoted && part.text.find_first_of("*?[") != std::string::npos;
}

std::expected<std::vector<ProbeName>, Error> readings_of(const std::string& text) {
  Readings readings(text);
  std::string_view rest = text;
  if (begins_quoted(rest)) {
    const auto quoted = take_quoted(rest);
    if (!quoted)
      return bad_input("'{}': the quote at its beginning is never closed", text);
    if (rest.size() > 1 && rest.front() == ':')
      readings.add_function(quoted, rest.substr(1));
    else
      readings.add_function(std::nullopt, text);
  } else {
    if (const std::size_t colon = lone_colon(rest);
        colon != std::string_view::npos && colon != 0 && colon + 1 != rest.size())
      readings.add_function(ProbeName::Part{std::string(rest.substr(0, colon))}, rest.substr(colon + 1));
    if (!rest.empty() && rest.back() != ':')
      readings.add_function(std::nullopt, rest);
  }
  auto all = readings.take();
  if (all.empty())
    return bad_input("'{}' is no probe: expected [OBJECT:]FUNCTION[@VERSION][+OFFSET], or OBJECT:0xADDRESS",
                     text);
  return all;
}

} // namespace proberace
