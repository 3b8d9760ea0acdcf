#include "stress/debuggee/probe_spec.h"

#include "harness/base/failure.h"
#include "harness/code/admission.h"

#include <charconv>
#include <fmt/format.h>
#include <map>
#include <optional>

namespace proberace {

namespace {

// "+OFFSET" at the end of a probe. None if what stands behind the last + is no number: names may hold a +, too.
std::optional<std::ptrdiff_t> offset_in(std::string_view behind_plus) {
  const bool hexadecimal = behind_plus.starts_with("0x");
  if (hexadecimal)
    behind_plus.remove_prefix(2);
  const char* const end = behind_plus.end();
  std::ptrdiff_t offset = 0;
  const auto [stopped, error] = std::from_chars(behind_plus.begin(), end, offset, hexadecimal ? 16 : 10);
  return error == std::errc{} && stopped == end && offset >= 0 ? std::optional(offset) : std::nullopt;
}

} // namespace

// A file's name seldom holds a colon, and a function's (shop::Cart::add) may.
std::expected<ProbeSpec, Error> parse_probe(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
    return bad_input("'{}' is no probe: expected LIBRARY:SYMBOL[+OFFSET]", text);
  ProbeSpec spec{text, text.substr(0, colon), text.substr(colon + 1), 0};
  const std::size_t plus = spec.symbol.rfind('+');
  if (plus == std::string::npos || plus == 0)
    return spec;
  if (const auto offset = offset_in(std::string_view(spec.symbol).substr(plus + 1))) {
    spec.offset = *offset;
    spec.symbol.resize(plus);
  }
  return spec;
}

std::expected<std::vector<ProbePlace>, Error> locate(std::span<const ProbeSpec> specs, const Target& target) {
  const AddressSpace space = target.address_space();
  Admission admission(target);
  std::vector<ProbePlace> places;
  std::map<Address, std::size_t> known;
  for (const ProbeSpec& spec : specs) {
    const auto with_name = [&](const Error& error) {
      return std::unexpected(Error{error.kind, error.address,
                                   fmt::format("{}: {}{}", spec.text, error.message,
                                               error.kind == ErrorKind::NotABoundary
                                                   ? "; --linear takes it if it decodes as code"
                                                   : "")});
    };
    const auto functions = target.functions().places_of(space, spec.library, spec.symbol);
    if (!functions)
      return std::unexpected(functions.error());
    for (const Address function : *functions) {
      const auto site = target.site_at(space, function + spec.offset);
      if (!site)
        return with_name(site.error());
      if (const auto [it, fresh] = known.try_emplace(site->address, places.size()); !fresh) {
        if (std::string& names = places[it->second].names; names != spec.text)
          names += ", " + spec.text;
        continue;
      }
      const auto instruction = admission.admit(space, *site);
      if (!instruction)
        return with_name(instruction.error());
      places.push_back({spec.text, *site, *instruction});
    }
  }
  return places;
}

} // namespace proberace
