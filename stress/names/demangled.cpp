#include "stress/names/demangled.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <libiberty/demangle.h>
#include <memory>

namespace proberace {

namespace {

bool is_of_d(std::string_view symbol) {
  return symbol.starts_with("_D");
}

std::optional<std::string> demangled_with(const char* symbol, int options) {
  const int style = is_of_d(symbol) ? DMGL_DLANG : DMGL_AUTO;
  const std::unique_ptr<char, decltype(&std::free)> text(::cplus_demangle(symbol, options | style),
                                                         &std::free);
  return text ? std::optional<std::string>(text.get()) : std::nullopt;
}

bool is_of_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

// "operator<", "operator->" and others that hold a bracket which opens nothing: the bytes of the symbol behind
// "operator" at `at`.
std::size_t operator_symbol_at(std::string_view text, std::size_t at) {
  constexpr std::string_view kOperator = "operator";
  if (!text.substr(at).starts_with(kOperator) || (at != 0 && is_of_word(text[at - 1])))
    return 0;
  std::size_t end = at + kOperator.size();
  while (end < text.size() && (text[end] == '<' || text[end] == '>' || text[end] == '=' || text[end] == '-'))
    ++end;
  return end - at;
}

std::string without_template_arguments(std::string_view text) {
  std::string bare;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (const std::size_t bytes = depth == 0 ? operator_symbol_at(text, at) : 0; bytes != 0) {
      bare += text.substr(at, bytes);
      at += bytes - 1;
    } else if (text[at] == '<') {
      ++depth;
    } else if (text[at] == '>' && depth > 0) {
      --depth;
    } else if (depth == 0) {
      bare += text[at];
    }
  }
  return bare;
}

// The type of an inherent implementation without its brackets, and generic arguments without the colons before them.
std::string plain_rust(std::string_view name) {
  std::string plain;
  if (name.starts_with('<')) {
    int depth = 0;
    std::size_t end = 0;
    for (; end < name.size(); ++end)
      if (name[end] == '<')
        ++depth;
      else if (name[end] == '>' && --depth == 0)
        break;
    const std::string_view type = name.substr(1, end - std::min<std::size_t>(end, 1));
    if (end < name.size() && type.find(" as ") == std::string_view::npos) {
      plain = type;
      name.remove_prefix(end + 1);
    }
  }
  for (std::size_t at = 0; at < name.size(); ++at)
    if (name.substr(at).starts_with("::<"))
      ++at; // and the second colon with it
    else
      plain += name[at];
  return plain;
}

// Without spaces.
std::string with_std_string(std::string text) {
  constexpr std::string_view kWhole =
      "std::__cxx11::basic_string<char,std::char_traits<char>,std::allocator<char>>";
  for (std::size_t at = text.find(kWhole); at != std::string::npos; at = text.find(kWhole))
    text.replace(at, kWhole.size(), "std::string");
  return text;
}

} // namespace

std::optional<std::string> demangled(const char* symbol) {
  return demangled_with(symbol, DMGL_PARAMS | DMGL_ANSI);
}

std::string without_spaces(std::string_view text) {
  std::string bare;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != ' ') {
      bare += text[at];
      continue;
    }
    const std::size_t next = text.find_first_not_of(' ', at);
    if (next != std::string_view::npos && !bare.empty() && is_of_word(bare.back()) && is_of_word(text[next]))
      bare += ' ';
    at = next == std::string_view::npos ? text.size() : next - 1;
  }
  return bare;
}

std::vector<std::string> demangled_forms(const char* symbol) {
  const auto whole = demangled_with(symbol, DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP);
  auto name = demangled_with(symbol, DMGL_ANSI | DMGL_RET_DROP);
  if (!whole || !name)
    return {};
  if (is_of_d(symbol))
    name->resize(std::min(name->size(), name->find('('))); // its parameters are always printed
  std::vector<std::string> forms{without_spaces(*whole), without_spaces(*name)};
  if (const std::string plain = plain_rust(*name); plain != *name)
    forms.push_back(without_spaces(plain));
  forms.push_back(without_template_arguments(forms.back()));
  if (std::string known = with_std_string(forms.front()); known != forms.front())
    forms.push_back(std::move(known));
  forms.push_back(
      without_spaces(demangled(symbol).value_or(*whole))); // with its return type, as it is printed
  return forms;
}

} // namespace proberace
