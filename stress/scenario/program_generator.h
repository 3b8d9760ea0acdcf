// Invents programs with RapidCheck; its shrinking takes away threads, acts, bodies and probes.
#pragma once

#include "stress/scenario/program.h"

#include <rapidcheck.h>

namespace proberace {

struct ProgramBounds {
  std::string strategy;
  std::size_t max_threads = 3;
  std::size_t max_acts = 4; // per thread
  std::size_t max_bodies = 3;
  std::size_t max_pages = 2;
};

rc::Gen<Program> program_generator(const ProgramBounds& bounds);

} // namespace proberace
