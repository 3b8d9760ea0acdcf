#include "stress/scenario/program_generator.h"

#include "stress/scenario/drawn.h"

namespace proberace {

namespace {

// Sites and threads are drawn freely and brought into range once their numbers are known.
constexpr std::size_t kFarIndex = 119; // divisible by few, so that each index is about as likely

rc::Gen<Act> act(ActKind kind, std::size_t most_sites, std::size_t fewest_sites = 1) {
  return rc::gen::map(
      rc::gen::pair(some<std::size_t>(fewest_sites, most_sites, upto(0, kFarIndex)), upto(0, kFarIndex)),
      [kind](std::pair<std::vector<std::size_t>, std::size_t> drawn) {
        return Act{kind, std::move(drawn.first), drawn.second};
      });
}

rc::Gen<Act> plain_act() {
  return rc::gen::weightedOneOf<Act>({{16, act(ActKind::Execute, 1)},
                                      {5, act(ActKind::Insert, 2)},
                                      {5, act(ActKind::Remove, 2)},
                                      {3, act(ActKind::Signal, 1)}});
}

rc::Gen<Act> any_act() {
  return rc::gen::weightedOneOf<Act>(
      {{3, plain_act()},
       {1, rc::gen::oneOf(act(ActKind::Fork, 1), act(ActKind::Spawn, 1), act(ActKind::Exec, 1),
                          act(ActKind::Protect, 1), act(ActKind::Nest, 2, 2), act(ActKind::Change, 1),
                          act(ActKind::Skip, 1), act(ActKind::Trap, 1), act(ActKind::Vfork, 1),
                          act(ActKind::Jump, 1), act(ActKind::Cancel, 1), act(ActKind::Fault, 1))}});
}

// Half of all programs have nothing but the plain ones, so that their threads meet often.
rc::Gen<std::vector<std::vector<Act>>> acts_of_threads(const ProgramBounds& bounds) {
  const auto threads = [&bounds](rc::Gen<Act> one) {
    return some(1, bounds.max_threads, some(1, bounds.max_acts, std::move(one)));
  };
  return rc::gen::oneOf(threads(plain_act()), threads(any_act()));
}

void bring_into_range(Program& program) {
  for (std::size_t& site : program.armed)
    site %= program.bodies.size();
  for (std::vector<Act>& acts : program.threads)
    for (Act& a : acts) {
      for (std::size_t& site : a.sites)
        site %= program.bodies.size();
      a.thread = signals(a.kind) ? a.thread % program.threads.size() : 0;
      if (a.kind == ActKind::Fault)
        program.bodies[a.sites[0]].body = kFaultingBody;
    }
}

} // namespace

rc::Gen<Program> program_generator(const ProgramBounds& bounds) {
  return rc::gen::map(rc::gen::tuple(some(1, bounds.max_bodies, placed_name(bounds.max_pages)),
                                     some(0, bounds.max_bodies, upto(0, kFarIndex)), acts_of_threads(bounds),
                                     rc::gen::weightedElement<bool>({{7, false}, {1, true}})),
                      [strategy = bounds.strategy](auto parts) {
                        Program p;
                        p.strategy = strategy;
                        std::tie(p.bodies, p.armed, p.threads, p.reopened) = std::move(parts);
                        bring_into_range(p);
                        return p;
                      });
}

} // namespace proberace
