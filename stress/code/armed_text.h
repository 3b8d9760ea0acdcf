// A text whose sites are armed, for tests that begin there.
#pragma once
#include "stress/code/probed_text.h"

namespace proberace {

inline std::expected<std::unique_ptr<ProbedText>, Error>
armed_text(const Json& parameters, std::initializer_list<const char*> bodies) {
  std::vector<Placement> placements;
  for (const char* const body : bodies)
    placements.push_back({body_named(body), 0});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (probed)
    if (const Status inserted = (*probed)->insert_all(); !inserted)
      return std::unexpected(inserted.error());
  return probed;
}

} // namespace proberace
