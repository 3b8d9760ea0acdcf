// The cell of `proberace isa`: some hundred random cases at a time, run bare, then with a probe on each.
//
// Parameters: strategy, seed, and either first and count, or number and path (isa_case.h); mnemonics, if not
// of any. The thread's point says which case it is in, so that one that ends the process is known.
#include "harness/base/json_fields.h"
#include "harness/cell/experiment.h"
#include "harness/probe/registry.h"
#include "stress/code/refusal.h"
#include "stress/transparency/isa/comparison.h"
#include "stress/transparency/isa/operand_cells.h"

#include <csignal>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

namespace proberace {

namespace {

constexpr std::size_t kMostExamples = 20; // of broken cases, in one cell's result

struct Counts {
  std::uint64_t tried = 0, held = 0, refused = 0, broken = 0;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("tried", self.tried);
    field("held", self.held);
    field("refused", self.refused);
    field("broken", self.broken);
  }
};

struct Tally {
  Counts all;
  std::uint64_t faulted = 0;   // held, the instruction itself faulting
  std::uint64_t undefined = 0; // of them by #UD
  std::map<std::string, Counts> mnemonics;
  std::map<std::string, std::uint64_t> untried;
  std::map<std::string, std::map<std::string, std::uint64_t>> refused; // by reason, by mnemonic
  std::map<std::string, std::uint64_t> cells;                          // cases aimed at each that were tried
  Json broken = Json::array();

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("tried", self.all.tried);
    field("held", self.all.held);
    field("refused", self.all.refused);
    field("broken", self.all.broken);
    field("faulted", self.faulted);
    field("undefined", self.undefined);
    field("untried", self.untried);
    field("mnemonics", self.mnemonics);
    field("refused_because", self.refused);
    field("cells", self.cells);
    field("examples", self.broken);
  }
};

struct Armed {
  std::uint64_t number;
  PreparedCase prepared;
  CaseEnd native;
  Site site{};
};

std::string mnemonic_of(const Armed& a) {
  return std::string(mnemonic_name(a.prepared.instruction));
}

Json state_json(const MachineState& s) {
  Json j;
  for (const auto& [r, register_name] : kRegisters)
    if (s.at(r) != 0)
      j[std::string(register_name)] = fmt::format("{:#x}", s.at(r));
  return j;
}

Json example(const Armed& a, const std::vector<std::string>& differing) {
  const Instruction& i = a.prepared.instruction;
  return Json{{"number", a.number},
              {"mnemonic", mnemonic_of(a)},
              {"instruction", disassemble(i)},
              {"bytes", fmt::format("{:02x}", fmt::join(i.code(), " "))},
              {"address", fmt::format("{:#x}", value(i.address))},
              {"state", state_json(a.prepared.start)},
              {"differing", differing}};
}

class Batch {
public:
  Batch(const std::string& strategy, const CaseSpace& space, BareRunner& runner, ThreadPoint& point,
        Tally& tally)
      : strategy_(strategy), space_(space), runner_(runner), point_(point), tally_(tally) {}

  // Precondition: no two of one place.
  void add(std::uint64_t number, const IsaCase& c, const InstructionForm& form, bool any_flags) {
    auto prepared = prepare(c, form, space_, number % CaseSpace::kPlaces, any_flags);
    if (!prepared)
      ++tally_.untried[std::string(prepared.error())];
    else
      cases_.push_back({number, std::move(*prepared), {}});
  }

  Status run() {
    const Promises promises = (*make_prober(strategy_))->promises();
    const auto memory =
        promises.has(Promise::FileBackedText) ? TextMemory::PrivateFile : TextMemory::SharedMemory;
    const auto text = Text::of_bytes(code(), memory, space_.text());
    if (!text)
      return std::unexpected(text.error());
    run_bare(promises);
    Target target;
    for (const Armed& a : cases_)
      target.add_function(a.prepared.begin, a.prepared.code.size(), "case");
    Status done;
    while (done && !cases_.empty())
      done = run_armed(target, promises);
    return done;
  }

private:
  // Arms, runs and takes back what there is room for; the rest stays in cases_.
  Status run_armed(const Target& target, const Promises& promises) {
    auto prober = make_prober(strategy_);
    if (!prober)
      return std::unexpected(prober.error());
    if (const Status opened = (*prober)->open(target); !opened)
      return opened;
    std::vector<Site> sites;
    for (Armed& a : cases_) {
      const auto site = target.site_at(a.prepared.instruction.address);
      if (!site)
        return std::unexpected(site.error());
      a.site = *site;
      sites.push_back(*site);
    }
    point_.pass("arming");
    const SiteResults inserted = (*prober)->insert(sites);
    const auto armed = std::ranges::count_if(inserted, [](const Status& s) { return s.has_value(); });
    std::vector<Site> taken;
    std::vector<Armed> later;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (inserted[i]) {
        taken.push_back(sites[i]);
        run_probed(cases_[i], **prober, promises);
      } else if (inserted[i].error().kind == ErrorKind::NoRoom && armed != 0) {
        later.push_back(std::move(cases_[i]));
      } else {
        refuse(cases_[i], inserted[i].error());
      }
    }
    cases_ = std::move(later);
    point_.pass("removing");
    for (const Status& removed : (*prober)->remove(taken))
      if (!removed)
        return removed;
    return (*prober)->close();
  }

  std::vector<std::uint8_t> code() const {
    std::vector<std::uint8_t> bytes(CaseSpace::kTextBytes + kPageBytes, kHalt);
    for (const Armed& a : cases_)
      std::ranges::copy(a.prepared.code, bytes.begin() + (a.prepared.begin - space_.text()));
    return bytes;
  }

  void run_bare(const Promises& promises) {
    std::vector<Armed> kept;
    for (Armed& a : cases_) {
      point_.pass("bare", a.prepared.instruction.address, a.number);
      a.native = run_case(runner_, a.prepared, space_);
      const Address rsp{a.native.run.state.at(Register::Rsp)};
      if (!space_.is_stack(rsp) && !promises.has(Promise::SmallStacks))
        ++tally_.untried["leaves no stack for a signal frame"];
      else
        kept.push_back(std::move(a));
    }
    cases_ = std::move(kept);
  }

  void refuse(const Armed& a, const Error& error) {
    note_cell(a);
    Counts& m = tally_.mnemonics[mnemonic_of(a)];
    ++m.tried, ++m.refused;
    ++tally_.all.tried, ++tally_.all.refused;
    ++tally_.refused[refusal_reason(error, a.prepared.instruction)][mnemonic_of(a)];
  }

  void note_cell(const Armed& a) {
    if (const OperandCell* const cell = cell_of(a.number))
      ++tally_.cells[cell->name];
  }

  void run_probed(const Armed& a, Prober& prober, const Promises& promises) {
    point_.pass("probed", a.prepared.instruction.address, a.number);
    const CaseEnd probed = run_case(runner_, a.prepared, space_);
    auto differing = differences(a.prepared, space_, promises, a.native, probed);
    if (const std::uint64_t hits = prober.hits(a.site); hits != 1)
      differing.push_back(fmt::format("{} hits", hits));
    note_cell(a);
    Counts& m = tally_.mnemonics[mnemonic_of(a)];
    ++m.tried, ++tally_.all.tried;
    if (differing.empty()) {
      ++m.held, ++tally_.all.held;
      if (faulted_at_site(a.prepared, a.native)) {
        ++tally_.faulted;
        tally_.undefined += a.native.run.fault.signal == SIGILL;
      }
      return;
    }
    ++m.broken, ++tally_.all.broken;
    if (tally_.broken.size() < kMostExamples)
      tally_.broken.push_back(example(a, differing));
  }

  const std::string& strategy_;
  const CaseSpace& space_;
  BareRunner& runner_;
  ThreadPoint& point_;
  Tally& tally_;
  std::vector<Armed> cases_;
};

Verdict run_cases(const Json& parameters, Arena& arena) {
  const std::string strategy = parameters.at("strategy");
  const std::uint64_t seed = parameters.at("seed");
  const auto path = parameters.value("path", std::vector<std::size_t>());
  const auto mnemonics = parameters.value("mnemonics", std::vector<std::string>());
  for (const std::string& m : mnemonics)
    if (FormCatalogue::instance().forms_of(m).empty())
      return verdict_of(
          Error{ErrorKind::BadInput, {}, fmt::format("no instruction to try is called '{}'", m)});
  const bool one = parameters.contains("number");
  const std::uint64_t first = parameters.at(one ? "number" : "first");
  const std::uint64_t end = first + (one ? 1 : parameters.at("count").get<std::uint64_t>());
  const auto prober = make_prober(strategy);
  if (!prober)
    return verdict_of(prober.error());
  const bool any_flags = (*prober)->promises().has(Promise::AnyFlags);
  ThreadPoint& point = arena.point_for_this_thread();
  BareRunner runner;
  Tally tally;
  for (std::uint64_t batch = first / CaseSpace::kPlaces; batch * CaseSpace::kPlaces < end; ++batch) {
    const auto space = CaseSpace::reserve(batch % 2 == 0 ? Layout::High : Layout::Low);
    if (!space)
      return verdict_of(space.error());
    Batch cases(strategy, *space, runner, point, tally);
    point.pass("inventing");
    for (std::uint64_t i = std::max(first, batch * CaseSpace::kPlaces);
         i < std::min(end, (batch + 1) * CaseSpace::kPlaces); ++i)
      if (const auto c = isa_case(seed, i, path))
        cases.add(i, *c, form_of(*c, mnemonics), any_flags);
    if (const Status done = cases.run(); !done)
      return verdict_of(done.error());
  }
  Verdict v;
  v.data = write_fields(tally);
  v.summary =
      fmt::format("{} tried, {} refused, {} broken", tally.all.tried, tally.all.refused, tally.all.broken);
  if (tally.all.broken != 0) {
    v.ending = Ending::Broken;
    v.property = "transparent";
    v.evidence = tally.broken;
  }
  return v;
}

const bool isa_experiment_registered = register_experiment("isa", &run_cases);

} // namespace

} // namespace proberace
