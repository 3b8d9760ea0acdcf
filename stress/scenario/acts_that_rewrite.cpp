// The act `rewrite`: a thread maps code of its own, probes it, and puts other code in its place, as a JIT or dlclose
// does (H15). No plan, slot or patch of the first may act on the second.
#include "harness/code/decode.h"
#include "stress/code/taking.h"
#include "stress/scenario/rewriting.h"

#include <fmt/format.h>

namespace proberace {

namespace {

// Another body with the same instruction at its site, so that nothing but what lies around it is rewritten; or null. One
// whose other instructions are as long, too, is preferred.
const Body* twin_of(const Body& body, const Promises& promised) {
  const auto instruction_of = [](const Body& b) {
    const auto instruction = decode(address_of(b.site), {b.site, b.end});
    return instruction ? std::vector(b.site, b.site + instruction->length) : std::vector<std::uint8_t>{};
  };
  const auto wanted = instruction_of(body);
  const Body* twin = nullptr;
  for (const Body& other : all_bodies())
    if (&other != &body && is_counted_right(other, promised) && instruction_of(other) == wanted &&
        (twin == nullptr || lengths_of(other) == lengths_of(body)))
      twin = &other;
  return twin;
}

How how_for(const Prober& prober, How drawn) {
  // The kernel takes an instruction from the file, and puts its byte wherever the file is mapped.
  if (prober.facts().handled_by == HandledBy::Kernel && (drawn == How::InPlace || drawn == How::LoadedAgain))
    return How::MappedAgain;
  // The byte is in the file.
  if (text_memory_for(prober) == TextMemory::SharedMemory && drawn == How::LoadedAgain)
    return How::MappedOver;
  return drawn;
}

Pages pages_for(const Prober& prober, How how, Pages drawn) {
  // What the file holds then is not the code.
  if (how == How::LoadedAgain && drawn == Pages::Written)
    return Pages::Ordinary;
  // The kernel takes an instruction from the file.
  const bool of_one_kind =
      prober.facts().handled_by == HandledBy::Kernel || text_memory_for(prober) == TextMemory::SharedMemory;
  return of_one_kind && (drawn == Pages::Shared || drawn == Pages::Written) ? Pages::Ordinary : drawn;
}

} // namespace

namespace perform {

void Rewrite(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.closed_)
    return;
  const Body& first = *run.text_.bodies()[act.bodies[0]].body;
  const Body& second = *run.text_.bodies()[act.bodies[1]].body;
  // Chosen by the bodies, so that a run can be repeated.
  const auto number = [](const Body& body) { return static_cast<std::size_t>(&body - all_bodies().data()); };
  const std::size_t choice = 7 * number(first) + 5 * number(second);
  const auto named = [&](const Body& other) {
    return OwnProbes(run, thread, fmt::format("rewritten code ({}, {})", first.name(), other.name()));
  };
  const OwnProbes own = named(second);
  // In place is done each time. It is the hardest case: the new instruction has the old one's address, and perhaps its
  // length.
  const How in_place = how_for(own.prober(), How::InPlace);
  Rewriting(own, Where::Within, in_place, Pages::Ordinary).rewrite(first, second);
  if (const Body* const twin = twin_of(first, own.prober().promises()))
    Rewriting(named(*twin), Where::Within, in_place, Pages::Ordinary).rewrite(first, *twin);
  // No act need draw them for the code behind a jump to change.
  if (const Body* const behind = body_named("mov-lea-behind"))
    if (const Body* const twin = twin_of(*behind, own.prober().promises()))
      Rewriting(named(*twin), Where::Within, in_place, Pages::Ordinary).rewrite(*behind, *twin);
  const How drawn = how_for(own.prober(), How(choice / 3 % kWays));
  Rewriting(own, Where(choice % 3), drawn, pages_for(own.prober(), drawn, Pages(choice / 15 % kKindsOfPages)))
      .rewrite(first, second);
  const How another = how_for(own.prober(), How((choice / 3 + 1 + choice % (kWays - 1)) % kWays));
  Rewriting(own, Where::Within, another, Pages::Ordinary).rewrite(first, second);
}

} // namespace perform

} // namespace proberace
