// Scenarios of free runs put together by hand, from the acts and threads that they are made of.
#pragma once

#include "stress/scenario/scenario.h"

namespace proberace {

Act insert(std::vector<std::size_t> bodies);
Act remove(std::vector<std::size_t> bodies);
Act pause(std::size_t executions);
// Every index below `bodies`.
std::vector<std::size_t> all_of(std::size_t bodies);

// Does these acts so many times, in this order.
ScenarioThread repeated(std::size_t rounds, std::vector<Act> acts);
// Pinned: executes all bodies in turn until the others are done. Each worker begins with another body.
ScenarioThread worker_thread(std::size_t number, std::size_t bodies, std::size_t jitter = 0);
// Inserts on all bodies, waits, removes, waits; so many times. `toggle`: executions to wait for.
ScenarioThread toggling_thread(std::size_t bodies, std::size_t toggle, std::size_t rounds);
// Starts threads that execute every body once, one after the other.
ScenarioThread churning_thread(std::size_t rounds, std::size_t bodies);

// Threads that a plan has places for: as many as asked for, and more where it oversubscribes; as many as asked for
// where the machine lacks the plan.
std::size_t threads_of(const std::string& plan, std::size_t wanted);
// A scenario of these bodies and so many workers, by the plan.
Scenario workers_on(std::string strategy, std::vector<PlacedName> bodies, std::size_t workers,
                    std::string plan = "across-cores", std::size_t jitter = 0);

} // namespace proberace
