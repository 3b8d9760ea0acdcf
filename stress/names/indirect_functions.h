// What the dynamic linker has chosen for an indirect function (STT_GNU_IFUNC).
#pragma once

#include "harness/code/target.h"

#include <span>
#include <vector>

namespace proberace {

// The functions that loaded objects have in the words which the dynamic linker fills by calling the resolver `symbol`
// of `of`, or for a symbol of its name. None if no word is filled yet: a program that was just started may fill them
// when a function is first called. By address.
std::vector<Address> chosen_functions(const Target& target, std::span<const LoadedObject> loaded,
                                      const LoadedObject& of, const ElfSymbol& symbol);

} // namespace proberace
