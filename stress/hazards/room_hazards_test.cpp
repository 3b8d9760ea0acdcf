// Too little room, and memory that is not as the file has it: H14, H38, H63, H66.
#include "harness/base/process_memory.h"
#include "stress/code/byte_at.h"
#include "stress/code/probed_code.h"
#include "stress/testing/expect_cell.h"

#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace proberace {

namespace {

// Each site of a batch must be armed, exact and removable, or refused in words and untouched.
Verdict judge_batch(ProbedText& probed, const SiteResults& results, std::span<const std::uint8_t> originals) {
  constexpr std::uint64_t kTimes = 3;
  std::size_t armed = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Site& site = probed.site(i);
    if (results[i].has_value() == (byte_at(site.address) == originals[i]))
      return broken("half-armed", fmt::format("site {}: {}, byte {:02x}, was {:02x}", i,
                                              results[i] ? "said to be armed" : describe(results[i].error()),
                                              byte_at(site.address), originals[i]));
    if (!results[i] && results[i].error().message.empty())
      return broken("words", fmt::format("site {} was refused without a word", i));
    armed += results[i] ? 1 : 0;
    for (std::uint64_t n = 0; n < kTimes; ++n)
      if (!probed.execute(i))
        return broken("wrong-result", fmt::format("site {}: wrong result", i));
    if (const std::uint64_t hits = probed.prober().hits(site); hits != (results[i] ? kTimes : 0))
      return broken("wrong-count", fmt::format("site {}: {} hits", i, hits));
  }
  const SiteResults removed = probed.prober().remove(probed.sites());
  for (std::size_t i = 0; i < removed.size(); ++i)
    if (removed[i].has_value() != results[i].has_value() || byte_at(probed.site(i).address) != originals[i])
      return broken("removal",
                    fmt::format("site {}: {}", i, removed[i] ? "removed" : describe(removed[i].error())));
  const Status closed = probed.prober().close();
  if (!closed)
    return broken("close", describe(closed.error()));
  Verdict v = held(fmt::format("{} of {} sites armed", armed, results.size()));
  v.data["armed"] = armed;
  return v;
}

// ---- H14

std::size_t first_number(const char* file) {
  std::size_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

// The soft limit: putting it back needs no privilege. Returns what was there.
rlimit limit(__rlimit_resource resource, rlim_t most) {
  rlimit before{};
  ::getrlimit(resource, &before);
  const rlimit wanted{most, before.rlim_max};
  ::setrlimit(resource, &wanted);
  return before;
}

// Room for a few allocations of the process' own, so that the limit meets the prober.
void make_room_on_the_heap() {
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  void* volatile room = std::malloc(std::size_t{8} << 20);
  std::free(room);
}

Verdict batch_under_limit(const Json& parameters, Arena&) {
  constexpr std::size_t kPages = 10;
  std::vector<Placement> placements;
  for (std::size_t page = 0; page < kPages; ++page)
    for (const char* body : {"lea-rip", "nop5"})
      placements.push_back({body_named(body), page});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  std::vector<std::uint8_t> originals;
  for (const Site& site : (*probed)->sites())
    originals.push_back(byte_at(site.address));
  const std::string which = parameters.at("limit");
  SiteResults results;
  if (which == "address-space") {
    make_room_on_the_heap();
    constexpr std::size_t kSpare = 5;
    const rlimit before = limit(RLIMIT_AS, (first_number("/proc/self/statm") + kSpare) * kPageBytes);
    results = (*probed)->prober().insert((*probed)->sites());
    ::setrlimit(RLIMIT_AS, &before);
  } else {
    constexpr int kSpare = 4;
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC); // the lowest free descriptor
    ::close(next);
    const rlimit before = limit(RLIMIT_NOFILE, static_cast<rlim_t>(next + kSpare));
    results = (*probed)->prober().insert((*probed)->sites());
    ::setrlimit(RLIMIT_NOFILE, &before);
  }
  return judge_batch(**probed, results, originals);
}

// Each site is removed, or says why not and is armed as before.
Verdict removal_without_descriptors(const Json& parameters, Arena&) {
  const Placement placements[] = {{body_named("mov"), 0}, {body_named("nop5"), 0}};
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  if (const Status inserted = (*probed)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  for (std::size_t i = 0; i < 2; ++i)
    (void)(*probed)->execute(i);
  const rlimit before = limit(RLIMIT_NOFILE, 0);
  const SiteResults results = (*probed)->prober().remove((*probed)->sites());
  ::setrlimit(RLIMIT_NOFILE, &before);
  std::size_t removed = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    removed += results[i] ? 1 : 0;
    if (!results[i] && results[i].error().message.empty())
      return broken("words", "not removed, without a word");
    if (!(*probed)->execute(i))
      return broken("wrong-result", fmt::format("site {}", i));
    if ((*probed)->prober().hits((*probed)->site(i)) != (results[i] ? 1 : 2))
      return broken("wrong-count",
                    fmt::format("site {}, {}", i, results[i] ? "removed" : describe(results[i].error())));
  }
  if (const Status closed = (*probed)->prober().close(); !closed)
    return broken("close", describe(closed.error()));
  return held(fmt::format("{} of 2 removed", removed));
}

// ---- H38: every gap a jump could reach is taken.

Verdict no_room_in_reach(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement});
  if (!code)
    return verdict_of(code.error());
  constexpr std::ptrdiff_t kReach = (std::ptrdiff_t{1} << 31) + (std::ptrdiff_t{1} << 20);
  const Address low = page_of((*code)->entry() - kReach);
  const Address high = page_of((*code)->entry() + kReach);
  std::vector<std::pair<void*, std::size_t>> fillings;
  const AddressSpace space = AddressSpace::read();
  Address from = low;
  const auto fill_up_to = [&](Address until) {
    if (from >= until)
      return;
    const auto bytes = static_cast<std::size_t>(until - from);
    void* const filling = ::mmap(bytes_at(from), bytes, PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (filling != MAP_FAILED)
      fillings.emplace_back(filling, bytes);
  };
  for (const Mapping& m : space.mappings()) {
    fill_up_to(std::min(m.start, high));
    from = std::max(from, m.end);
  }
  fill_up_to(high);
  const std::uint8_t before = byte_at((*code)->site(0).address);
  const Status inserted = (*code)->insert_all();
  auto* const run = (*code)->function<Increment>();
  if (run(1) != 2)
    return broken("wrong-result", "wrong result with no room in reach");
  if (inserted && (*code)->hits(0) != 1)
    return broken("dropped", "insert says armed, and the hit was not counted");
  if (!inserted && (byte_at((*code)->site(0).address) != before || inserted.error().message.empty()))
    return broken("half-done", "refused without a word, or half done");
  for (const auto& [at, bytes] : fillings)
    ::munmap(at, bytes);
  const std::string outcome = inserted ? "armed" : "refused: " + describe(inserted.error());
  if (!inserted)
    if (const Status again = (*code)->insert_all(); !again)
      return broken("refused", "refused still, with room again: " + describe(again.error()));
  const std::uint64_t hits = (*code)->hits(0);
  return run(2) == 3 && (*code)->hits(0) == hits + 1 ? held(outcome)
                                                     : broken("wrong-count", "with room again");
}

// ---- H63: another tool has changed a byte of the page before.

Verdict private_page(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  const std::uint64_t words[] = {10, 20};
  const std::uint8_t displacement = 8; // of the load, in place of 0: the second word
  constexpr std::ptrdiff_t kDisplacement = 3;
  const Address changed = (*code)->site(1).address + kDisplacement;
  if (write_code(changed, {&displacement, 1}) != 0 || (*code)->function<Load>(1)(words) != words[1])
    return broken("setup", "the other tool's byte cannot be written");
  for (int round = 0; round < 2; ++round) {
    const Status inserted = first_error((*code)->prober().insert({{(*code)->site(0)}}));
    if ((*code)->function<Increment>()(1) != 2 || (*code)->function<Load>(1)(words) != words[1])
      return broken("other-bytes", "another tool's byte is lost while a neighbour is armed");
    if (inserted)
      if (const Status removed = first_error((*code)->prober().remove({{(*code)->site(0)}})); !removed)
        return broken("operation", describe(removed.error()));
    if (byte_at(changed) != displacement || (*code)->function<Load>(1)(words) != words[1])
      return broken("other-bytes", "another tool's byte is lost after removal");
    if (!inserted && inserted.error().kind != ErrorKind::MemoryUnsupported)
      return verdict_of(inserted.error());
  }
  return held();
}

// The same while a neighbour is armed.
Verdict byte_written_later(const Json& parameters, Arena&) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kLoad});
  if (!code)
    return verdict_of(code.error());
  const std::uint64_t words[] = {10, 20};
  const std::uint8_t displacement = 8;
  constexpr std::ptrdiff_t kDisplacement = 3;
  if (const Status inserted = first_error((*code)->prober().insert({{(*code)->site(0)}})); !inserted)
    return verdict_of(inserted.error());
  if (write_code((*code)->site(1).address + kDisplacement, {&displacement, 1}) != 0)
    return broken("setup", "the other tool's byte cannot be written");
  if (const Status removed = first_error((*code)->prober().remove({{(*code)->site(0)}})); !removed)
    return broken("operation", describe(removed.error()));
  return (*code)->function<Increment>()(1) == 2 && (*code)->function<Load>(1)(words) == words[1]
             ? held()
             : broken("other-bytes", "another tool's byte is lost after removal");
}

// ---- H66: three instructions within five bytes.

PROBERACE_SNIPPET(Crowded, R"(
        SITE
        xorl    %eax, %eax
        SITE
        pushq   %rdi
        SITE
        popq    %rax
        incq    %rax
        ret
)");

Verdict crowded(const Json& parameters, Arena&) {
  constexpr std::uint64_t kTimes = 20;
  auto code = ProbedCode::open(parameters.at("strategy"), {kCrowded});
  if (!code)
    return verdict_of(code.error());
  std::vector<Site> sites = (*code)->sites();
  std::size_t armed = 0;
  std::vector<std::uint64_t> expected(sites.size());
  for (int order = 0; order < 2; ++order) {
    const SiteResults results = (*code)->prober().insert(sites);
    for (std::uint64_t i = 0; i < kTimes; ++i)
      if ((*code)->function<Increment>()(i) != i + 1)
        return broken("wrong-result", "wrong result with neighbours armed");
    for (std::size_t i = 0; i < sites.size(); ++i) {
      armed += results[i] ? 1 : 0;
      const std::size_t at = order == 0 ? i : sites.size() - 1 - i;
      expected[at] += results[i] ? kTimes : 0;
      if ((*code)->hits(at) != expected[at])
        return broken("wrong-count",
                      fmt::format("site {}: {} hits of {}", at, (*code)->hits(at), expected[at]));
      if (!results[i] && results[i].error().message.empty())
        return broken("words", "refused without a word");
    }
    for (const Status& removed : (*code)->prober().remove(sites))
      if (!removed && removed.error().kind != ErrorKind::NotArmed)
        return broken("operation", describe(removed.error()));
    std::reverse(sites.begin(), sites.end());
  }
  return (*code)->function<Increment>()(1) == 2 ? held(fmt::format("{} of 6 armed", armed))
                                                : broken("wrong-result", "after removal");
}

const bool room_hazards_test_registered =
    register_experiment("test/batch-under-limit", &batch_under_limit) &&
    register_experiment("test/removal-without-descriptors", &removal_without_descriptors) &&
    register_experiment("test/no-room-in-reach", &no_room_in_reach) &&
    register_experiment("test/private-page", &private_page) &&
    register_experiment("test/byte-written-later", &byte_written_later) &&
    register_experiment("test/crowded", &crowded);

class Room : public testing::TestWithParam<std::string> {
protected:
  Verdict under(const char* which, CellSpec& spec) {
    spec = test_cell("batch-under-limit", GetParam());
    spec.parameters["limit"] = which;
    return run_cell(spec);
  }
};

} // namespace

TEST_P(Room, H14_WithoutAddressSpaceEachSiteIsArmedOrRefused) {
  CellSpec spec;
  const Verdict v = under("address-space", spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

TEST_P(Room, H14_WithoutDescriptorsEachSiteIsArmedOrRefused) {
  CellSpec spec;
  const Verdict v = under("descriptors", spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

TEST_P(Room, H14_WithoutDescriptorsEachSiteIsRemovedOrStaysArmed) {
  PROBERACE_EXPECT_TEST_HELD("removal-without-descriptors", GetParam());
}

TEST_P(Room, H38_WithoutRoomInReachASiteIsRefusedAndNotDropped) {
  PROBERACE_EXPECT_TEST_HELD("no-room-in-reach", GetParam());
}

TEST_P(Room, H63_AnotherToolsByteSurvivesRemoval) {
  PROBERACE_EXPECT_TEST_HELD("private-page", GetParam());
}

// The armers that write in place; a swapped page takes with it what others wrote to the copy.
TEST(Poke, H63_AnotherToolsByteOfMeanwhileSurvivesRemoval) {
  for (const char* strategy : {"poke+xol-vma", "poke/drop+xol-vma", "poke/raw+xol-vma"}) {
    SCOPED_TRACE(strategy);
    PROBERACE_EXPECT_TEST_HELD("byte-written-later", strategy);
  }
}

TEST_P(Room, H66_SitesThatOverlapAreRefusedOrHarmless) {
  PROBERACE_EXPECT_TEST_HELD("crowded", GetParam());
}

INSTANTIATE_TEST_SUITE_P(Strategies, Room, testing::ValuesIn(strategies_promising({Promise::FileBackedText})),
                         test_name);

} // namespace proberace
