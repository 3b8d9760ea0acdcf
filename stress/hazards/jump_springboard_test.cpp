// A short jump to int3 padding in reach, where neither a jump nor a pun fits; and the padding's page going
// its own way (H15).
#include "stress/hazards/jump_code.h"

#include <array>
#include <sys/mman.h>

namespace proberace {

namespace {

// jmp over a ud2, which spell, with what is behind them, where a pun would land; lea 1(%rdi),%rax; ret.
const Code kShort{0xeb, 0x02, 0x0f, 0x0b, 0x48, 0x8d, 0x47, 0x01, 0xc3};

void occupy(Address from) {
  for (int page = 0; page < 2; ++page)
    (void)::mmap(bytes_at(page_of(from) + page * static_cast<std::ptrdiff_t>(kPageBytes)), kPageBytes,
                 PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

// kShort at this offset, as the only function; every landing that a pun there could have is somebody else's.
Status open_short(JumpedCode& o, Code code, std::size_t at) {
  std::ranges::copy(kShort, code.begin() + static_cast<std::ptrdiff_t>(at));
  const Status opened = open(o, code, {{at, kShort.size()}});
  if (opened) {
    occupy(o.at(at + 5) + 0x480b0f00);
    occupy(o.at(at + 6) + 0x8d480b0f - (std::ptrdiff_t{1} << 32));
  }
  return opened;
}

// Inserted, with a short jump in place, and executed 100 times.
Verdict used(const JumpedCode& o, std::size_t at) {
  const Site site = o.site(at);
  if (const Status inserted = first_error(o.prober->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  if (o.prober->way(site) != "springboard" || o.byte(at) != kShort[0] || o.byte(at + 1) == kShort[1])
    return broken("patch", "no short jump is there");
  for (std::uint64_t i = 0; i < 100; ++i)
    if (o.call(at, i) != i + 1)
      return broken("wrong-result", "through the springboard");
  return held();
}

Verdict springboard(const Json& parameters, Arena&) {
  const bool padded = parameters.at("padded");
  const Code code(200, padded ? kInt3 : std::uint8_t{0x90});
  JumpedCode o;
  if (const Status opened = open_short(o, code, 0); !opened)
    return verdict_of(opened.error());
  const Site site = o.site(0);
  if (!padded) {
    const Status inserted = o.prober->insert({{site}})[0];
    return !inserted && inserted.error().kind == ErrorKind::InstructionUnsupported && o.byte(0) == 0xeb
               ? held()
               : broken("refusal", inserted ? "armed" : describe(inserted.error()));
  }
  if (const Verdict v = used(o, 0); !v.is(Ending::Held))
    return v;
  if (const Status removed = first_error(o.prober->remove({{site}})); !removed)
    return verdict_of(removed.error());
  for (std::size_t i = 0; i < code.size(); ++i)
    if (o.byte(i) != (i < kShort.size() ? kShort[i] : code[i]))
      return broken("bytes", fmt::format("byte {} is not back", i));
  return count_is(o, site, 100);
}

// The function ends with a page, the padding begins with the next. One of the two is replaced by nops before
// the removal; then the other is as it was, and the nops are untouched.
Verdict page_replaced(const Json& parameters, Arena&) {
  const std::size_t replaced = parameters.at("page");
  constexpr std::uint8_t kNop = 0x90;
  const std::size_t at = kPageBytes - kShort.size();
  Code code(2 * kPageBytes, kInt3);
  std::fill_n(code.begin(), at, kNop); // no padding before the function
  JumpedCode o;
  if (const Status opened = open_short(o, code, at); !opened)
    return verdict_of(opened.error());
  if (const Verdict v = used(o, at); !v.is(Ending::Held))
    return v;
  if (o.byte(kPageBytes) != 0xe9)
    return broken("setup", "the springboard is not on the second page");
  const Site site = o.site(at); // of the code that is gone soon
  const Code nops(kPageBytes, kNop);
  auto other = Text::of_bytes(nops);
  void* const page = bytes_at(o.at(replaced * kPageBytes));
  if (!other ||
      ::mremap(bytes_at(other->start()), kPageBytes, kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page)
    return broken("setup", "mremap over a page");
  const Status removed = o.prober->remove({{site}})[0];
  if (removed.has_value() != (replaced == 1) || (!removed && removed.error().kind != ErrorKind::StaleSite))
    return broken("removal", removed ? "of what is gone" : describe(removed.error()));
  std::ranges::copy(kShort, code.begin() + static_cast<std::ptrdiff_t>(at));
  std::fill_n(code.begin() + static_cast<std::ptrdiff_t>(replaced * kPageBytes), kPageBytes, kNop);
  for (std::size_t i = 0; i < code.size(); ++i)
    if (o.byte(i) != code[i])
      return broken("bytes", fmt::format("byte {} is {:02x}, not {:02x}", i, o.byte(i), code[i]));
  const Status closed = o.prober->close();
  return closed ? held() : verdict_of(closed.error());
}

const bool jump_springboard_test_registered =
    register_experiment("test/jump-springboard", &springboard) &&
    register_experiment("test/jump-springboard-page", &page_replaced);

} // namespace

TEST(Jump, ASpringboardIsUsedWherePunsFindNoPlace) {
  expect_jump_held("test/jump-springboard", Json{{"padded", true}});
}

TEST(Jump, RefusedWhereNeitherFits) {
  expect_jump_held("test/jump-springboard", Json{{"padded", false}});
}

TEST(Jump, H15_ASpringboardIsTakenBackFromThePageThatStayed) {
  expect_jump_held("test/jump-springboard-page", Json{{"page", 0}});
}

TEST(Jump, H15_APageThatTookTheSpringboardsPlaceIsLeftAlone) {
  expect_jump_held("test/jump-springboard-page", Json{{"page", 1}});
}

} // namespace proberace
