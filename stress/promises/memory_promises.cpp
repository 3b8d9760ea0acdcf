// Promises about the target's memory, one experiment each, named promise/<promise>.
#include "harness/base/process_memory.h"
#include "stress/code/probed_code.h"
#include "stress/workload/zlib_library.h"

#include <fmt/format.h>

namespace proberace {

namespace {

// ---- no-added-mapping, no-writable-executable: the executable mappings while armed, after a hit.

std::vector<Mapping> executable_mappings() {
  std::vector<Mapping> found;
  const AddressSpace space = AddressSpace::read();
  for (const Mapping& m : space.mappings())
    if (m.executable)
      found.push_back(m);
  return found;
}

Verdict no_added_mapping(const Json& parameters, Arena&) {
  return with_probes(
      parameters, {"mov", "nop"},
      [](ProbedText& probed) {
        const std::vector<Mapping> before = executable_mappings();
        if (const Status inserted = probed.insert_all(); !inserted)
          return verdict_of(inserted.error());
        probed.execute(0);
        const std::vector<Mapping> armed = executable_mappings();
        if (armed == before)
          return held();
        return broken("mappings", fmt::format("{} executable mappings before, {} while armed", before.size(),
                                              armed.size()));
      },
      false);
}

Verdict no_writable_executable(const Json& parameters, Arena&) {
  return with_probes(
      parameters, {"mov", "nop"},
      [](ProbedText& probed) {
        const std::size_t before = AddressSpace::read().writable_executable_bytes();
        if (const Status inserted = probed.insert_all(); !inserted)
          return verdict_of(inserted.error());
        probed.execute(0);
        const std::size_t armed = AddressSpace::read().writable_executable_bytes();
        if (armed <= before)
          return held();
        return broken("wx", fmt::format("{} bytes are writable and executable", armed - before));
      },
      false);
}

// ---- file-backed-text: a function of a real library.

Verdict file_backed_text(const Json& parameters, Arena&) {
  static constexpr int kTimes = 10;
  const auto zlib = ZlibLibrary::load();
  if (!zlib)
    return verdict_of(zlib.error());
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!prober)
    return verdict_of(prober.error());
  const auto site = target.site_at(address_of(reinterpret_cast<const void*>(zlib->adler32)));
  if (!site)
    return verdict_of(site.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  if (const Status inserted = first_error((*prober)->insert({{*site}})); !inserted)
    return verdict_of(inserted.error());
  constexpr unsigned char kText[] = "Wikipedia";
  for (int i = 0; i < kTimes; ++i)
    if (zlib->adler32(1, kText, 9) != 0x11E60398) // RFC 1950's checksum of "Wikipedia"
      return broken("wrong-result", "adler32 is wrong while probed");
  const std::uint64_t hits = (*prober)->hits(*site);
  if (hits != kTimes)
    return broken("wrong-count", fmt::format("{} calls of adler32, {} hits", kTimes, hits));
  return held();
}

const bool memory_promises_registered =
    register_experiment("promise/no-added-mapping", &no_added_mapping) &&
    register_experiment("promise/no-writable-executable", &no_writable_executable) &&
    register_experiment("promise/file-backed-text", &file_backed_text);

} // namespace

} // namespace proberace
