// Sites that cannot be probed are refused in words, nothing half done: H13, H64, H65, H67.
#include "harness/base/process_memory.h"
#include "harness/probe/stepper.h"
#include "harness/trap/signal_prober.h"
#include "stress/code/byte_at.h"
#include "stress/code/code_snapshot.h"
#include "stress/code/probed_code.h"
#include "stress/code/probed_text.h"
#include "stress/testing/expect_cell.h"
#include "stress/workload/zlib_library.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace proberace {

namespace {

// Each check runs in a cell (it may crash) as experiment `test/<name>`; what it finds wrong is in the
// verdict.
CellSpec cell(const std::string& experiment, const std::string& strategy) {
  CellSpec spec;
  spec.experiment = "test/" + experiment;
  spec.parameters = Json{{"strategy", strategy}};
  spec.deadline = std::chrono::seconds(10);
  return spec;
}

std::expected<std::unique_ptr<ProbedText>, Error> open_bodies(const Json& parameters,
                                                              std::initializer_list<Placement> placements) {
  return ProbedText::open(parameters.at("strategy"), placements);
}

// ---- H13

Verdict refuses(const Json& parameters, Arena&) {
  constexpr std::uint8_t kCode[] = {0x48, 0x89, 0xf8, 0xcc, 0xc3, 0x90, 0x90}; // mov; int3; ret; nop; nop
  Target target;
  auto prober = make_prober(parameters.at("strategy"));
  auto text = Text::of_bytes(kCode, text_memory_for(**prober));
  if (!text)
    return broken("setup", "no text");
  target.add_function(text->start(), 5, "five-bytes");
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  const Site good = *target.site_at(text->start());
  const auto at = [&](std::ptrdiff_t offset) {
    Site s = good;
    s.address = good.address + offset;
    s.file_offset = good.file_offset + static_cast<std::uint64_t>(offset);
    return s;
  };
  const auto elsewhere = [&](Address a) {
    Site s = good;
    s.address = a;
    return s;
  };
  Site stale = good;
  stale.generation += 1;
  static int writable = 0;
  struct Case {
    const char* what;
    Site site;
    ErrorKind expected;
  };
  const Case cases[] = {
      {"inside an instruction", at(1), ErrorKind::NotABoundary},
      {"on an int3", at(3), ErrorKind::AlreadyInt3},
      {"behind the function", at(5), ErrorKind::OutsideFunction},
      {"unmapped", elsewhere(Address{0x1000}), ErrorKind::NotMapped},
      {"not executable", elsewhere(address_of(&writable)), ErrorKind::NotExecutable},
      {"of another generation", stale, ErrorKind::StaleSite},
  };
  // One batch: the good site is armed, whatever stands around it is refused for its own reason.
  std::vector<Site> batch;
  for (const Case& c : cases)
    batch.push_back(c.site);
  batch.insert(batch.begin() + 2, good);
  batch.push_back(good);
  const SiteResults results = (*prober)->insert(batch);
  for (std::size_t i = 0, c = 0; i + 1 < batch.size(); ++i) {
    if (i == 2) {
      if (!results[i])
        return broken("batch", "the good site of the batch was refused: " + describe(results[i].error()));
      continue;
    }
    const Case& expected = cases[c++];
    if (results[i] || results[i].error().kind != expected.expected)
      return broken("refusal", fmt::format("a site {}: {}", expected.what,
                                           results[i] ? "accepted" : describe(results[i].error())));
    if (results[i].error().message.empty() || results[i].error().address != expected.site.address)
      return broken("words", fmt::format("a site {}: no message or no address", expected.what));
  }
  if (results.back() || results.back().error().kind != ErrorKind::AlreadyArmed)
    return broken("refusal", "the same site twice in a batch");
  reinterpret_cast<void (*)()>(bytes_at(text->start() + 4))(); // the ret: the text is still whole
  // A jump covers more than the good site's first byte.
  const bool jumps = may_take_no_trap(parameters.at("strategy"));
  if (byte_at(at(3).address) != kInt3 || byte_at(at(4).address) != kCode[4] ||
      (!jumps && byte_at(at(1).address) != kCode[1]))
    return broken("bytes", "a refused site's bytes changed");
  const SiteResults removed = (*prober)->remove({{good, good, at(1)}});
  if (!removed[0] || removed[1] || removed[1].error().kind != ErrorKind::NotArmed || removed[2])
    return broken("remove", "removing: armed once, then not armed, never armed");
  return held();
}

// ---- H64

Verdict armed_means_seen(const Json& parameters, Arena&) {
  auto probed = open_bodies(parameters, {{body_named("mov"), 0}});
  if (!probed)
    return verdict_of(probed.error());
  const Address at = (*probed)->site(0).address;
  const std::uint8_t before = byte_at(at);
  if (const Status inserted = (*probed)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  if (byte_at(at) == before)
    return broken("armed", "insert says armed, and the byte is what it was");
  if (!(*probed)->execute(0) || (*probed)->prober().hits((*probed)->site(0)) != 1)
    return broken("armed", "insert says armed, and the first execution was not counted");
  if (const Status removed = (*probed)->remove_all(); !removed)
    return verdict_of(removed.error());
  return byte_at(at) == before ? held()
                               : broken("removed", "remove says removed, and the byte is still there");
}

// An armer that reports success and writes nothing: the prober must see that.
class Mute final : public Armer {
public:
  std::string_view name() const noexcept override { return "mute"; }
  Promises promises() const noexcept override { return Promises::all(); }
  Status open(TargetCode&) override { return {}; }
  void arm(const AddressSpace&, std::span<ByteWrite>) override {}
  void disarm(std::span<ByteWrite>) override {}
};

Verdict mute_armer(const Json&, Arena&) {
  const Placement placement{body_named("mov"), 0};
  auto text = Text::make({&placement, 1});
  if (!text)
    return verdict_of(text.error());
  Target target;
  text->declare(target);
  SignalProber prober(std::make_unique<Mute>(), make_stepper("xol-vma"));
  if (const Status opened = prober.open(target); !opened)
    return verdict_of(opened.error());
  const Status inserted = prober.insert({{*target.site_at(text->bodies()[0].site)}})[0];
  if (inserted || inserted.error().kind != ErrorKind::NotTakingEffect)
    return broken("armed", "an armer that wrote nothing was believed");
  return held();
}

// ---- H64: text that is mapped shared, which no armer may write.

volatile int traps_of_its_own = 0;

// Refused means that nothing is claimed: an int3 that the program writes there later is the program's own.
Verdict shared_text(const Json& parameters, Arena&) {
  const int file = ::memfd_create("shared", MFD_CLOEXEC);
  constexpr std::uint8_t kCode[] = {0x0f, 0x1f, 0x44, 0x00, 0x00, 0xc3}; // a nop that a jump fits into; ret
  on_signal(SIGTRAP, [](int, siginfo_t*, void*) { traps_of_its_own = traps_of_its_own + 1; });
  if (::ftruncate(file, kPageBytes) != 0 || ::pwrite(file, kCode, sizeof kCode, 0) != sizeof kCode)
    return broken("setup", "memfd");
  void* memory = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  Target target;
  target.add_function(address_of(memory), sizeof kCode, "shared");
  auto prober = make_prober(parameters.at("strategy"));
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  const Site site = *target.site_at(address_of(memory));
  const Status inserted = (*prober)->insert({{site}})[0];
  if (inserted) {
    reinterpret_cast<void (*)()>(memory)();
    return (*prober)->hits(site) == 1 ? held("armed") : broken("armed", "insert says armed, and hits stay 0");
  }
  if (byte_at(site.address) != kCode[0])
    return broken("bytes", "refused, and half done");
  constexpr std::uint8_t kOwn[] = {0xcc, 0xc3}; // int3; ret
  if (::pwrite(file, kOwn, sizeof kOwn, 0) != sizeof kOwn)
    return broken("setup", "memfd");
  reinterpret_cast<void (*)()>(memory)();
  if (traps_of_its_own != 1)
    return broken("own-trap", "a trap of the program's own, where a probe was refused, never came");
  return held("refused: " + describe(inserted.error()));
}

// ---- H65

constexpr long kSysMseal = 462; // Linux 6.10
constexpr int kPrSetMdwe = 65;  // Linux 6.3
constexpr int kMdweRefuseExecGain = 1;

// Inserts under the policy: armed and exact, or refused in words with every byte and mapping as before.
Verdict under_policy(const Json& parameters, bool (*apply)(const Text&), const char* policy) {
  auto probed = open_bodies(parameters, {{body_named("mov"), 0}});
  if (!probed)
    return verdict_of(probed.error());
  Prober& prober = (*probed)->prober();
  if (!apply((*probed)->text()))
    return verdict_of(Error{ErrorKind::MachineLacks, {}, fmt::format("this kernel has no {}", policy)});
  if (const Status closed = prober.close(); !closed)
    return verdict_of(closed.error());
  const CodeSnapshot before = CodeSnapshot::of((*probed)->text());
  if (const Status opened = prober.open((*probed)->target()); !opened)
    return verdict_of(opened.error());
  const Status inserted = (*probed)->insert_all();
  if (!inserted) {
    // A slot reserved for the refused site is residue until close, as design and footprint say; nothing else
    // may be.
    if (const Status closed = prober.close(); !closed)
      return verdict_of(closed.error());
    const std::string difference = before.difference(CodeSnapshot::of((*probed)->text()));
    if (!difference.empty())
      return broken("half-done", difference);
    if (inserted.error().message.empty())
      return broken("words", "refused without a word");
    return held("refused: " + describe(inserted.error()));
  }
  constexpr std::uint64_t kTimes = 20;
  for (std::uint64_t i = 0; i < kTimes; ++i)
    if (!(*probed)->execute(0))
      return broken("wrong-result", "wrong result under the policy");
  if ((*probed)->prober().hits((*probed)->site(0)) != kTimes)
    return broken("wrong-count", "wrong count under the policy");
  if (const Status removed = (*probed)->remove_all(); !removed)
    return broken("stuck", describe(removed.error()));
  return (*probed)->execute(0) ? held("armed") : broken("wrong-result", "wrong result after removal");
}

bool lock(const Text& text) {
  return ::mlock(bytes_at(text.start()), text.bytes()) == 0;
}
bool seal(const Text& text) {
  return ::syscall(kSysMseal, bytes_at(text.start()), text.bytes(), 0) == 0;
}
bool no_new_executable(const Text&) {
  return ::prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) == 0;
}

Verdict locked(const Json& p, Arena&) {
  return under_policy(p, &lock, "mlock");
}
Verdict sealed(const Json& p, Arena&) {
  return under_policy(p, &seal, "mseal");
}
Verdict mdwe(const Json& p, Arena&) {
  return under_policy(p, &no_new_executable, "PR_SET_MDWE");
}

// ---- H67: every mapping of the process, on a real library.

std::vector<Mapping> code_of(const std::string& path) {
  std::vector<Mapping> found;
  const AddressSpace space = AddressSpace::read();
  for (const Mapping& m : space.mappings())
    if (m.path == path)
      found.push_back(m);
  return found;
}

Verdict library_is_whole_again(const Json& parameters, Arena&) {
  const auto zlib = ZlibLibrary::load();
  if (!zlib)
    return verdict_of(zlib.error());
  const Address function = address_of(reinterpret_cast<const void*>(zlib->adler32));
  const std::string path = AddressSpace::read().find(function)->path;
  const std::vector<Mapping> before = code_of(path);
  Target target;
  auto prober = make_prober(parameters.at("strategy"));
  const auto site = target.site_at(function);
  if (!site)
    return verdict_of(site.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  constexpr unsigned char kText[] = "proberace";
  for (int round = 1; round <= 3; ++round) {
    if (const Status inserted = first_error((*prober)->insert({{*site}})); !inserted)
      return verdict_of(inserted.error());
    zlib->adler32(1, kText, 9);
    if ((*prober)->hits(*site) != static_cast<std::uint64_t>(round))
      return broken("wrong-count", "a call of adler32 was not counted");
    if (const Status removed = first_error((*prober)->remove({{*site}})); !removed)
      return verdict_of(removed.error());
    if (code_of(path) != before)
      return broken("mappings", fmt::format("{} mappings of {} before, {} after removal", before.size(), path,
                                            code_of(path).size()));
  }
  return held();
}

const bool refusal_test_registered =
    register_experiment("test/refuses", &refuses) &&
    register_experiment("test/armed-means-seen", &armed_means_seen) &&
    register_experiment("test/shared-text", &shared_text) &&
    register_experiment("test/mute-armer", &mute_armer) && register_experiment("test/locked", &locked) &&
    register_experiment("test/sealed", &sealed) && register_experiment("test/mdwe", &mdwe) &&
    register_experiment("test/library-is-whole-again", &library_is_whole_again);

class EveryStrategy : public testing::TestWithParam<std::string> {
protected:
  Verdict expect_held(const std::string& experiment) {
    const CellSpec spec = cell(experiment, GetParam());
    const Verdict v = run_cell(spec);
    if (!v.is(Ending::Skipped)) {
      EXPECT_TRUE(v.is(Ending::Held)) << v.property << ": " << v.summary << "\ncell: " << spec.line();
    }
    return v;
  }
};

#define PROBERACE_SKIP_IF_SKIPPED(verdict)                                                                   \
  if ((verdict).is(Ending::Skipped))                                                                         \
  GTEST_SKIP() << (verdict).summary

} // namespace

TEST_P(EveryStrategy, H13_WhatCannotBeProbedIsRefusedAndTheRestIsNot) {
  PROBERACE_SKIP_IF_SKIPPED(expect_held("refuses"));
}

TEST_P(EveryStrategy, H64_ArmedMeansTheByteWasSeen) {
  PROBERACE_SKIP_IF_SKIPPED(expect_held("armed-means-seen"));
}

TEST(Prober, H64_AnArmerThatWritesNothingIsNotBelieved) {
  const Verdict v = run_cell(cell("mute-armer", ""));
  EXPECT_TRUE(v.is(Ending::Held)) << v.summary;
}

TEST_P(EveryStrategy, H64_SharedTextIsArmedOrRefused) {
  PROBERACE_SKIP_IF_SKIPPED(expect_held("shared-text"));
}

TEST_P(EveryStrategy, H65_LockedTextIsArmedOrRefused) {
  PROBERACE_SKIP_IF_SKIPPED(expect_held("locked"));
}

TEST_P(EveryStrategy, H65_SealedTextIsArmedOrRefusedAsSealed) {
  const Verdict v = expect_held("sealed");
  PROBERACE_SKIP_IF_SKIPPED(v);
  EXPECT_TRUE(v.summary == "armed" || v.summary.find("mseal") != v.summary.npos) << v.summary;
}

// Which of the two it was: a swap must refuse what it would unlock or cannot move, a store need not.
TEST(ASwap, H65_RefusesWhatAStoreArms) {
  for (const char* experiment : {"locked", "sealed"}) {
    const Verdict store = run_cell(cell(experiment, "poke+xol-vma"));
    PROBERACE_SKIP_IF_SKIPPED(store);
    EXPECT_EQ(store.summary, "armed") << experiment;
    for (const char* strategy : {"pte-swap+xol-vma", "pte-swap/memfd+xol-vma"}) {
      const Verdict swap = run_cell(cell(experiment, strategy));
      EXPECT_TRUE(swap.summary.starts_with("refused"))
          << strategy << ", " << experiment << ": " << swap.summary;
    }
  }
}

// The policy is no obstacle to those that make nothing executable that was writable, and the others say so.
TEST_P(EveryStrategy, H65_ANoNewExecutablePolicyIsNoObstacle) {
  const Verdict v = expect_held("mdwe");
  PROBERACE_SKIP_IF_SKIPPED(v);
  if ((*make_prober(GetParam()))->promises().has(Promise::NoWritableExecutable)) {
    EXPECT_EQ(v.summary, "armed");
  } else {
    EXPECT_NE(v.summary.find("PR_SET_MDWE"), std::string::npos) << v.summary;
  }
}

class OnFileText : public EveryStrategy {};

TEST_P(OnFileText, H67_ALibrarysTextIsOneMappingAgain) {
  PROBERACE_SKIP_IF_SKIPPED(expect_held("library-is-whole-again"));
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryStrategy, testing::ValuesIn(strategies_promising({})), test_name);
INSTANTIATE_TEST_SUITE_P(Strategies, OnFileText,
                         testing::ValuesIn(strategies_promising({Promise::FileBackedText})), test_name);

} // namespace proberace
