// Pieces that the generator of scenarios draws.
#pragma once

#include "stress/code/taking.h"
#include "stress/scenario/scenario.h"

#include <rapidcheck.h>

#include <string>
#include <vector>

namespace proberace {

// Both ends included. The bounds are the sizes: RapidCheck's own growing size would keep the first ones
// trivial.
inline rc::Gen<std::size_t> upto(std::size_t least, std::size_t most) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::size_t>(least, most + 1));
}

// Shrinks by taking any of them away: a container of a drawn number of elements would only lose its last
// ones.
template <typename T> rc::Gen<std::vector<T>> some(std::size_t least, std::size_t most, rc::Gen<T> element) {
  return rc::gen::suchThat(
      rc::gen::resize(static_cast<int>(most), rc::gen::container<std::vector<T>>(
                                                  rc::gen::resize(rc::kNominalSize, std::move(element)))),
      [least, most](const std::vector<T>& v) { return v.size() >= least && v.size() <= most; });
}

inline rc::Gen<PlacedName> placed_name(const Promises& promised, std::size_t pages) {
  std::vector<std::string> names;
  for (const Body& body : all_bodies())
    if (is_counted_right(body, promised))
      names.emplace_back(body.name());
  return rc::gen::construct<PlacedName>(rc::gen::elementOf(names), upto(0, pages - 1));
}

} // namespace proberace
