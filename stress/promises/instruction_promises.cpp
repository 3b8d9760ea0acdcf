// Promises about instructions, one experiment each, named promise/<promise>: what a hit leaves of the
// displaced instruction's effect.
#include "stress/code/probed_code.h"

#include <fmt/format.h>

namespace proberace {

namespace {

// ---- rip-relative, all-control-flow, repeats-count-once, red-zone-intact, stack-operands: every body of the kind, on
// this thread alone, so that nothing but the instruction is tried.

Verdict instructions(const Json& parameters, BodyTrait trait) {
  constexpr std::uint64_t kTimes = 200; // the kernel optimises a five-byte nop only after its first hit
  std::vector<Placement> placements;
  for (const Body& body : all_bodies())
    if (body.has(trait))
      placements.push_back({&body, placements.size() % 2});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  // Those that take only some instructions are tried on what they take.
  const bool selective = (*probed)->prober().facts().selective;
  const SiteResults inserted = (*probed)->prober().insert((*probed)->sites());
  std::size_t armed = 0;
  for (std::size_t i = 0; i < placements.size(); ++i) {
    if (!inserted[i] && selective && inserted[i].error().kind == ErrorKind::InstructionUnsupported)
      continue;
    if (!inserted[i])
      return verdict_of(inserted[i].error());
    ++armed;
    for (std::uint64_t n = 1; n <= kTimes; ++n)
      if (!(*probed)->execute(i))
        return broken("wrong-result", fmt::format("{}: wrong result, or a register it must keep, at hit {}",
                                                  placements[i].body->name(), n));
    const std::uint64_t wanted = kTimes * placements[i].body->passes;
    if (const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(i)); hits != wanted)
      return broken("wrong-count",
                    fmt::format("{}: {} executions, {} hits", placements[i].body->name(), wanted, hits));
  }
  return held(fmt::format("{} of {} bodies", armed, placements.size()));
}

// ---- changes-take-effect (H39): registers and PC that a hit handler writes.

PROBERACE_SNIPPET(Changed, R"(
        SITE
        {disp32} leaq 0(%rdi), %rax
        ret
        movl    $77, %eax
        ret
)");
constexpr std::ptrdiff_t kElsewhere = 8; // behind leaq and ret
constexpr std::uint64_t kPlanted = 0x123456789abcdef0;

void plant(Hit& hit, void* argument) {
  hit.context.set(Register::Rdi, kPlanted);
  if (*static_cast<const bool*>(argument))
    hit.context.set_pc(hit.site.address + kElsewhere);
}

Verdict changes_take_effect(const Json& parameters, Arena&) {
  constexpr int kTimes = 50;
  auto code = ProbedCode::open(parameters.at("strategy"), {kChanged});
  if (!code)
    return verdict_of(code.error());
  bool redirect = false;
  if (const Status set = (*code)->prober().set_handler(&plant, &redirect); !set)
    return needs_handler(set.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  auto* const run = (*code)->function<Increment>();
  for (int i = 0; i < kTimes; ++i)
    if (const std::uint64_t result = run(1); result != kPlanted)
      return broken("register", fmt::format("the handler wrote {:#x} to rdi, the instruction read {:#x}",
                                            kPlanted, result));
  redirect = true;
  for (int i = 0; i < kTimes; ++i)
    if (const std::uint64_t result = run(1); result != 77)
      return broken("pc", fmt::format("the handler wrote the PC, and the thread returned {:#x}", result));
  if ((*code)->hits(0) != 2 * kTimes)
    return broken("wrong-count", fmt::format("{} executions, {} hits", 2 * kTimes, (*code)->hits(0)));
  return held();
}

const bool instruction_promises_registered =
    register_experiment("promise/rip-relative",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::RipRelative); }) &&
    register_experiment("promise/all-control-flow",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::ControlFlow); }) &&
    register_experiment("promise/repeats-count-once",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::Repeats); }) &&
    register_experiment("promise/red-zone-intact",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::RedZone); }) &&
    register_experiment("promise/stack-operands",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::StackPointer); }) &&
    register_experiment("promise/changes-take-effect", &changes_take_effect);

} // namespace

} // namespace proberace
