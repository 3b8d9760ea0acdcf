#include "stress/names/function_name.h"

#include "stress/names/demangled.h"

#include <algorithm>
#include <fnmatch.h>

namespace proberace {

namespace {

// Names that no demangler takes are most of them. Both C++ and Rust begin with an underscore, and so does D.
std::vector<std::string> forms_of(const ElfSymbol& symbol) {
  return symbol.name.starts_with("_") ? demangled_forms(std::string(symbol.name).c_str())
                                      : std::vector<std::string>{};
}

// A part that the compiler has split off is not the function. It is found by its whole name.
bool is_clone(const std::vector<std::string>& forms) {
  return forms.front().find("[clone") != std::string::npos;
}

bool ends_with_scopes(std::string_view name, std::string_view end) {
  return name.size() > end.size() + 2 && name.ends_with(end) &&
         name.substr(0, name.size() - end.size()).ends_with("::");
}

// A word that the mangled name of this function holds, too; "" if there may be none. It saves demangling most names.
std::string word_in(const std::string& function) {
  constexpr std::string_view kAbbreviated[] = {"string",  "basic_string", "allocator",
                                               "istream", "ostream",      "iostream"};
  constexpr std::string_view kUnnamed = "(anonymous namespace)::";
  if (function.find("operator") != std::string::npos)
    return {};
  const std::size_t unnamed = function.rfind(kUnnamed);
  const std::size_t begin = unnamed == std::string::npos ? 0 : unnamed + kUnnamed.size();
  const std::string name = function.substr(begin, function.find_first_of("(<", begin) - begin);
  const std::size_t before =
      name.find_last_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  const std::string word = name.substr(before == std::string::npos ? 0 : before + 1);
  return std::ranges::find(kAbbreviated, word) != std::end(kAbbreviated) ? std::string{} : word;
}

bool fits(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

// The name as it stands in the symbol table, with what looks like a version.
bool is_whole(const ElfSymbol& symbol, std::string_view text) {
  return !symbol.version.empty() && text.starts_with(symbol.name) && text.ends_with(symbol.version) &&
         text.size() == symbol.name.size() + 1 + symbol.version.size() && text[symbol.name.size()] == '@';
}

// `wanted` is the name without spaces.
bool is_meant(const ElfSymbol& symbol, const ProbeName::Part& function, const std::string& wanted,
              MeantAs meaning) {
  if (meaning == MeantAs::Symbol)
    return symbol.name == function.text || is_whole(symbol, function.text);
  if (meaning == MeantAs::Pattern) {
    if (!is_pattern(function))
      return false;
    if (fits(function.text, std::string(symbol.name)))
      return true;
  }
  const std::vector<std::string> forms = forms_of(symbol);
  if (forms.empty())
    return false;
  if (is_clone(forms))
    return meaning == MeantAs::Demangled && forms.front() == wanted;
  for (const std::string& form : forms)
    if (meaning == MeantAs::Demangled        ? form == wanted
        : meaning == MeantAs::EndOfQualified ? ends_with_scopes(form, wanted)
                                             : fits(wanted, form))
      return true;
  return false;
}

} // namespace

std::vector<const ElfSymbol*> symbols_named(const ProbeName& name, const ElfImage& image, MeantAs meaning) {
  std::string wanted = without_spaces(name.function.text);
  if (wanted.starts_with("::") && !name.function.quoted)
    wanted = wanted.substr(2);
  const bool demangles = meaning == MeantAs::Demangled || meaning == MeantAs::EndOfQualified;
  const std::string word = demangles ? word_in(wanted) : std::string{};
  std::vector<const ElfSymbol*> found;
  for (const ElfSymbol& symbol : image.symbols)
    if ((name.version.empty() || symbol.version == name.version) &&
        symbol.name.find(word) != std::string_view::npos && is_meant(symbol, name.function, wanted, meaning))
      found.push_back(&symbol);
  return found;
}

std::string shown(const ElfSymbol& symbol) {
  const std::string name(symbol.name);
  return demangled(name.c_str()).value_or(name);
}

} // namespace proberace
