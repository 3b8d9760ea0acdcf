#include "strategies/whole/jump_patch.h"

#include "harness/base/failure.h"
#include "strategies/whole/trampoline.h"

#include <algorithm>
#include <cstring>

namespace proberace {

namespace {

constexpr std::uint8_t kJump = 0xE9;
constexpr std::uint8_t kShortJump = 0xEB;
constexpr std::uint8_t kMeaningless = 0x2E; // CS override: ignored in 64-bit mode (SDM vol. 2A, 2.1.1)
constexpr std::size_t kPagesToTry = 64;

constexpr std::ptrdiff_t signed_size(std::size_t n) noexcept {
  return static_cast<std::ptrdiff_t>(n);
}

// Finds a landing among the 256^free addresses from `first` on, and writes its jump to the trampoline.
std::optional<Address> land(const PatchPlace& place, Address first, std::size_t free, Address trampoline) {
  TrampolineSpace& space = place.trampolines;
  const std::size_t window = std::size_t{1} << (8 * free);
  const std::size_t stride = std::max<std::size_t>(kPageBytes, window / kPagesToTry & ~(kPageBytes - 1));
  for (std::size_t page = 0; page < window; page += stride) {
    const Address begin = first + signed_size(page);
    const Address end = std::min(page_of(begin) + kPageBytes, first + signed_size(window));
    const bool anothers = place.view.space.find(begin) != nullptr && !space.contains(begin);
    int refused = 0; // a page refuses once for its header, or for its end
    for (Address at = begin; !anothers && at < end && refused < 2; at = at + 16) {
      const std::vector<std::uint8_t> code = jump_code(at, trampoline);
      if (space.reserve_at(at, code.size())) {
        space.write(at, code);
        return at;
      }
      refused += !space.contains(at);
    }
  }
  return std::nullopt;
}

std::optional<Patch> pun(const PatchPlace& place, const JumpSite& site, bool& conflict) {
  const Address at = site.site.address;
  const std::size_t length = site.instruction.length;
  std::array<std::uint8_t, kMaxInstructionBytes + kJumpBytes> code{};
  if (!place.view.code.read(at, std::span(code).first(length - 1 + kJumpBytes)))
    return std::nullopt;
  for (std::size_t prefixes = 0; prefixes < length; ++prefixes) {
    const std::size_t extent = prefixes + kJumpBytes;
    if (place.view.target.holds_probe(at, extent)) {
      conflict = true;
      continue;
    }
    const std::size_t free = length - prefixes - 1; // bytes of the rel32 that are ours
    std::uint32_t spelled = 0;
    std::memcpy(&spelled, code.data() + prefixes + 1, sizeof spelled);
    spelled &= ~static_cast<std::uint32_t>((std::uint64_t{1} << (8 * free)) - 1);
    const Address next = at + signed_size(extent);
    const auto landing = land(place, next + static_cast<std::int32_t>(spelled), free, site.trampoline);
    if (!landing)
      continue;
    const auto distance = static_cast<std::int32_t>(*landing - next);
    Patch patch;
    patch.kind = PatchKind::Pun;
    patch.bytes = code;
    std::fill_n(patch.bytes.begin(), prefixes, kMeaningless);
    patch.bytes[prefixes] = kJump;
    std::memcpy(patch.bytes.data() + prefixes + 1, &distance, sizeof distance);
    patch.written = static_cast<std::uint8_t>(length);
    patch.extent = static_cast<std::uint8_t>(extent);
    return patch;
  }
  return std::nullopt;
}

// Adds the addresses of padding that begins at `from` and continues in steps of `step` (1 or -1). Padding
// lies outside every function, and is all int3 as far as a short jump reaches or up to the next function.
void collect_padding(const PatchPlace& place, Address from, std::ptrdiff_t step, Address site,
                     std::set<Address>& padding) {
  constexpr std::ptrdiff_t kReach = 128 + kJumpBytes;
  std::set<Address> found;
  for (Address a = from; std::abs(a - site) <= kReach; a = a + step) {
    const Mapping* mapping = place.view.space.find(a);
    if (mapping == nullptr || !mapping->contains(site) ||
        place.view.target.functions().containing(place.view.space, a))
      break;
    const auto ours = place.springboards.upper_bound(a);
    const bool taken = ours != place.springboards.begin() && a - *std::prev(ours) < signed_size(kJumpBytes);
    if (!taken && !place.view.code.holds(a, {&kInt3, 1}))
      return; // no padding, or perhaps data
    if (!taken)
      found.insert(a);
  }
  padding.merge(found);
}

std::optional<Patch> springboard(const PatchPlace& place, const JumpSite& site) {
  const Address at = site.site.address;
  const auto function = place.view.target.functions().containing(place.view.space, at);
  if (!function || site.instruction.length < 2)
    return std::nullopt;
  std::set<Address> padding;
  collect_padding(place, function->end, 1, at, padding);
  collect_padding(place, function->start - 1, -1, at, padding);
  for (const Address board : padding) {
    const std::ptrdiff_t distance = board - (at + 2);
    const auto room = [&] {
      for (std::size_t i = 1; i < kJumpBytes; ++i)
        if (!padding.contains(board + signed_size(i)))
          return false;
      return true;
    };
    if (distance < -128 || distance > 127 || !room())
      continue;
    const std::vector<std::uint8_t> jump = jump_code(board, site.trampoline);
    if (jump.size() != kJumpBytes)
      continue;
    Patch patch;
    patch.kind = PatchKind::Springboard;
    patch.bytes[0] = kShortJump;
    patch.bytes[1] = static_cast<std::uint8_t>(distance);
    patch.written = 2;
    patch.extent = 2;
    patch.springboard = board;
    std::copy(jump.begin(), jump.end(), patch.springboard_bytes.begin());
    return patch;
  }
  return std::nullopt;
}

} // namespace

std::expected<Patch, Error> choose_patch(const PatchPlace& place, const JumpSite& site) {
  const Address at = site.site.address;
  if (place.view.target.holds_probe(at, site.instruction.length))
    return failure(ErrorKind::Conflict, at, "these bytes are part of another probe: remove that first");
  if (site.instruction.length >= kJumpBytes) {
    const std::vector<std::uint8_t> jump = jump_code(at, site.trampoline);
    Patch patch;
    std::copy(jump.begin(), jump.end(), patch.bytes.begin());
    patch.written = kJumpBytes;
    patch.extent = kJumpBytes;
    return patch;
  }
  bool conflict = false;
  if (auto patch = pun(place, site, conflict))
    return *patch;
  if (auto patch = springboard(place, site))
    return *patch;
  if (conflict)
    return failure(ErrorKind::Conflict, at,
                   "a jump here would need bytes that are part of another probe: remove that "
                   "first");
  return failure(ErrorKind::InstructionUnsupported, at,
                 "{} has {} bytes: no address that a pun could lead to is free, and there is no int3 "
                 "padding within a short jump's reach",
                 mnemonic_name(site.instruction), site.instruction.length);
}

} // namespace proberace
