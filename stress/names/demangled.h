// A symbol's name as its language writes it: C++, Rust and D, by GNU's libiberty.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace proberace {

// As `nm -C` prints it: "shop::Cart::add(int)". None if it is no mangled name.
std::optional<std::string> demangled(const char* symbol);

// The forms in which a user may write it, without spaces that may be left out: with its parameters,
// "shop::twice<int>(int)"; without them, "shop::twice<int>"; without template arguments, "shop::twice". Of Rust's
// "<shop::Cart<i32>>::add" and "shop::twice::<i32>" also "shop::Cart<i32>::add" and "shop::twice<i32>". The last is as
// it is printed, with a template's return type. Empty if it is no mangled name.
std::vector<std::string> demangled_forms(const char* symbol);

// Without the spaces that need not stand between two words.
std::string without_spaces(std::string_view text);

} // namespace proberace
