// Which symbols of an object a user means by a function's name.
#pragma once

#include "harness/code/elf_functions.h"
#include "stress/names/probe_name.h"

#include <vector>

namespace proberace {

// How a name may be meant. An earlier one is preferred, over all objects.
enum class MeantAs {
  Symbol,    // as the file has it: "main", "_ZN4shop4Cart3addEi"
  Demangled, // C++, Rust or D, with its parameters, without them (all overloads), and without template arguments
  EndOfQualified, // "Cart::add" for shop::Cart::add, as gdb has it
  Pattern,        // of the symbol or of the demangled name, with or without parameters
};
inline constexpr MeantAs kMeanings[] = {MeantAs::Symbol, MeantAs::Demangled, MeantAs::EndOfQualified,
                                        MeantAs::Pattern};

// Those of the name's version, in the file's order. One function may have several.
std::vector<const ElfSymbol*> symbols_named(const ProbeName& name, const ElfImage& image, MeantAs meaning);

// As it is shown to people: demangled, without its version.
std::string shown(const ElfSymbol& symbol);

} // namespace proberace
