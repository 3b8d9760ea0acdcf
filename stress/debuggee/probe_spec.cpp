#include "stress/debuggee/probe_spec.h"

#include "harness/code/admission.h"

#include <charconv>
#include <fmt/format.h>

namespace proberace {

std::expected<ProbeSpec, Error> parse_probe(const std::string& text) {
  const auto bad = [&] {
    return std::unexpected(Error{
        ErrorKind::BadInput, {}, fmt::format("'{}' is no probe: expected LIBRARY:SYMBOL[+OFFSET]", text)});
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
    return bad();
  ProbeSpec spec{text, text.substr(0, colon), text.substr(colon + 1), 0};
  const std::size_t plus = spec.symbol.find('+');
  if (plus == std::string::npos)
    return spec;
  std::string digits = spec.symbol.substr(plus + 1);
  spec.symbol.resize(plus);
  const bool hexadecimal = digits.starts_with("0x");
  if (hexadecimal)
    digits.erase(0, 2);
  const char* const end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, spec.offset, hexadecimal ? 16 : 10);
  if (error != std::errc{} || stopped != end || spec.symbol.empty())
    return bad();
  return spec;
}

std::expected<ProbePlace, Error> locate(const ProbeSpec& spec, const Target& target) {
  const AddressSpace space = target.address_space();
  const auto function = target.functions().symbol(space, spec.library, spec.symbol);
  if (!function)
    return std::unexpected(function.error());
  const auto with_name = [&](const Error& error) {
    return std::unexpected(Error{error.kind, error.address, fmt::format("{}: {}", spec.text, error.message)});
  };
  const auto site = target.site_at(space, *function + spec.offset);
  if (!site)
    return with_name(site.error());
  const auto instruction = Admission(target).admit(space, *site);
  if (!instruction)
    return with_name(instruction.error());
  return ProbePlace{spec, *site, *instruction};
}

} // namespace proberace
