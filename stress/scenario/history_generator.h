// Invents histories with RapidCheck; its shrinking takes away threads, controllers, events, bodies and
// rounds.
#pragma once

#include "stress/scenario/history.h"

#include <rapidcheck.h>

namespace proberace {

struct HistoryBounds {
  std::string strategy;
  std::string plan = "across-cores";
  std::size_t max_threads = 4;
  std::size_t max_controllers = 2;
  std::size_t max_events = 8; // per controller
  std::size_t max_bodies = 6;
  std::size_t max_pages = 2;
  std::size_t max_rounds = 8;
  std::size_t max_churn = 4;
};

rc::Gen<History> history_generator(const HistoryBounds& bounds);

} // namespace proberace
