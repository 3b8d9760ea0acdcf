#include "stress/scenario/history_generator.h"

#include "stress/scenario/drawn.h"

#include <algorithm>

namespace proberace {

namespace {

// Site indices are drawn freely and brought into range once the number of bodies is known.
rc::Gen<Event> event() {
  constexpr std::size_t kFarIndex = 1000;
  constexpr std::size_t kMostExecutions = 1000;
  const auto on_sites = [](Action action) {
    return rc::gen::map(some<std::size_t>(1, 3, upto(0, kFarIndex)),
                        [action](std::vector<std::size_t> sites) {
                          return Event{action, std::move(sites), 0};
                        });
  };
  return rc::gen::weightedOneOf<Event>({{3, on_sites(Action::Insert)},
                                        {2, on_sites(Action::Remove)},
                                        {2, rc::gen::map(upto(1, kMostExecutions), [](std::size_t n) {
                                           return Event{Action::Pause, {}, n};
                                         })}});
}

void bring_into_range(History& history) {
  for (std::vector<Event>& events : history.controllers)
    for (Event& e : events)
      for (std::size_t& site : e.sites)
        site %= history.bodies.size();
}

} // namespace

rc::Gen<History> history_generator(const HistoryBounds& bounds) {
  return rc::gen::map(
      rc::gen::tuple(upto(1, bounds.max_threads), some(1, bounds.max_bodies, placed_name(bounds.max_pages)),
                     some(1, bounds.max_controllers, some(1, bounds.max_events, event())),
                     upto(1, bounds.max_rounds), upto(0, bounds.max_churn),
                     rc::gen::element<std::size_t>(0, 0, 100, 10'000)),
      [bounds](auto parts) {
        History h;
        h.strategy = bounds.strategy;
        h.plan = bounds.plan;
        std::tie(h.threads, h.bodies, h.controllers, h.rounds, h.churn, h.jitter) = std::move(parts);
        bring_into_range(h);
        return h;
      });
}

} // namespace proberace
