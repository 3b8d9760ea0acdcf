// Arms every instruction of an ELF file's functions, some thousand at a time, and takes them all back: what
// is counted as probed has been armed. The text must then be the file's again.
#include "harness/base/json_fields.h"
#include "harness/base/process_memory.h"
#include "harness/cell/experiment.h"
#include "harness/probe/registry.h"
#include "stress/code/elf_text.h"
#include "stress/code/object_code.h"
#include "stress/code/refusal.h"

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::size_t kAtOnce = 20'000; // sites between open and close

using Counts = std::map<std::string, std::uint64_t>;

struct Survey {
  std::uint64_t instructions = 0;
  std::uint64_t rip_relative = 0;
  std::uint64_t relative_flow = 0;
  std::uint64_t page_crossing = 0;
  std::uint64_t armed = 0;
  Counts ways;
  std::map<std::string, Counts> refused; // by reason, by mnemonic
  Counts mnemonics;                      // armed ones

  void count(const Instruction& i) {
    ++instructions;
    rip_relative += i.rip_relative;
    relative_flow += i.flow == Flow::RelativeJump || i.flow == Flow::RelativeCall;
    page_crossing += page_of(i.address) != page_of(i.next() - 1);
  }

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("instructions", self.instructions);
    field("rip_relative", self.rip_relative);
    field("relative_flow", self.relative_flow);
    field("page_crossing", self.page_crossing);
    field("armed", self.armed);
    field("ways", self.ways);
    field("mnemonics", self.mnemonics);
    field("refused", self.refused);
  }
};

struct Candidate {
  Site site;
  Instruction instruction;
};

// Arms and takes back all of them; those that neighbours stand in the way of, in a later round. Not armed,
// and not refused: a property broke, and the answer says which.
std::string arm_all(Prober& prober, std::vector<Candidate> pending, Survey& survey) {
  while (!pending.empty()) {
    std::vector<Site> sites;
    for (const Candidate& c : pending)
      sites.push_back(c.site);
    const SiteResults results = prober.insert(sites);
    std::vector<Candidate> conflicting;
    std::vector<Site> armed;
    for (std::size_t i = 0; i < pending.size(); ++i) {
      const Instruction& instruction = pending[i].instruction;
      const std::string mnemonic(mnemonic_name(instruction));
      if (results[i]) {
        armed.push_back(sites[i]);
        ++survey.armed;
        ++survey.mnemonics[mnemonic];
        ++survey.ways[std::string(prober.way(sites[i]))];
      } else if (results[i].error().kind == ErrorKind::Conflict) {
        conflicting.push_back(pending[i]);
      } else {
        ++survey.refused[refusal_reason(results[i].error(), instruction)][mnemonic];
      }
    }
    const SiteResults removed = prober.remove(armed);
    for (std::size_t i = 0; i < armed.size(); ++i)
      if (!removed[i])
        return describe(removed[i].error());
    if (armed.empty()) // nothing of ours is in their way
      for (const Candidate& c : conflicting)
        ++survey.refused["conflict"][std::string(mnemonic_name(c.instruction))];
    pending = armed.empty() ? std::vector<Candidate>() : std::move(conflicting);
  }
  return {};
}

std::vector<std::uint8_t> text_bytes(const AddressSpace& space, Address text) {
  const Mapping& mapping = *space.find(text);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(mapping.end - mapping.start));
  (void)read_memory(mapping.start, bytes);
  return bytes;
}

std::vector<Candidate> candidates(const Target& target, const std::vector<CodePoint>& code) {
  const AddressSpace space = target.address_space();
  std::vector<Candidate> all;
  for (const CodePoint& point : code) {
    std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
    const auto site = target.site_at(space, point.address);
    const auto function = target.functions().containing(space, point.address);
    if (!site || !function)
      continue;
    const auto room = static_cast<std::size_t>(function->end - point.address);
    const std::span there = std::span(bytes).first(std::min(bytes.size(), room));
    if (!read_memory(point.address, there))
      continue;
    if (const auto instruction = decode(point.address, there))
      all.push_back({*site, *instruction});
  }
  return all;
}

Verdict run_survey(const Json& parameters, Arena& arena) {
  ThreadPoint& point = arena.point_for_this_thread();
  const auto elf = ElfText::map(parameters.at("file"));
  if (!elf)
    return verdict_of(elf.error());
  const Target target;
  const std::vector<CodePoint> code = all_instructions(target, elf->text());
  if (code.empty())
    return verdict_of(Error{ErrorKind::BadInput,
                            {},
                            fmt::format("{}: neither symbols nor .eh_frame name a function",
                                        parameters.at("file").get<std::string>())});
  const std::size_t sites = parameters.value("sites", std::size_t{0}); // 0 for all
  const std::vector<Candidate> all = candidates(target, sites == 0 ? code : spread(code, sites));
  const auto before = text_bytes(target.address_space(), elf->text());
  Survey survey;
  for (const Candidate& c : all)
    survey.count(c.instruction);
  for (std::size_t begin = 0; begin < all.size(); begin += kAtOnce) {
    point.pass("arming a part");
    auto prober = make_prober(parameters.at("strategy"));
    if (!prober)
      return verdict_of(prober.error());
    if (const Status opened = (*prober)->open(target); !opened)
      return verdict_of(opened.error());
    const auto part = std::span(all).subspan(begin, std::min(kAtOnce, all.size() - begin));
    const std::string broken = arm_all(**prober, {part.begin(), part.end()}, survey);
    const Status closed = (*prober)->close();
    if (!broken.empty() || !closed)
      return Verdict{Ending::Broken, "removal", broken.empty() ? describe(closed.error()) : broken, {}, {}};
  }
  Verdict v;
  v.data = write_fields(survey);
  v.summary = fmt::format("{} of {} instructions armed", survey.armed, survey.instructions);
  if (text_bytes(target.address_space(), elf->text()) != before) {
    v.ending = Ending::Broken;
    v.property = "restored";
    v.summary = "the text is not what it was";
  }
  return v;
}

const bool survey_experiment_registered = register_experiment("elf-survey", &run_survey);

} // namespace

} // namespace proberace
