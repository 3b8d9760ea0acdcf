#include "strategies/whole/trampoline.h"

#include "harness/base/failure.h"
#include "harness/relocate/exit.h"

#include <cstddef>
#include <cstring>
#include <limits>

namespace proberace {

namespace {

using Code = std::vector<std::uint8_t>;

void emit(Code& code, std::initializer_list<std::uint8_t> bytes) {
  code.insert(code.end(), bytes);
}
template <typename T> void emit_word(Code& code, T word) {
  const std::size_t at = code.size();
  code.resize(at + sizeof word);
  std::memcpy(code.data() + at, &word, sizeof word);
}

struct Built {
  Code code;
  std::size_t displaced = 0; // offset of the displaced instruction's copy
};

std::expected<Built, Error> assemble(const JumpSite& site, Address at) {
  const std::int32_t words = jump_session()->threads.words_offset();
  const auto field = [words](std::size_t offset) { return words + static_cast<std::int32_t>(offset); };
  Built built;
  Code& code = built.code;
  emit(code, {0x48, 0x8D, 0x64, 0x24, 0x80});       // lea -128(%rsp),%rsp
  emit(code, {0x50, 0x51, 0x9F, 0x0F, 0x90, 0xC0}); // push %rax; push %rcx; lahf; seto %al
  emit(code, {0x64, 0x8B, 0x0C, 0x25});             // mov %fs:session,%ecx
  emit_word(code, field(offsetof(ThreadWords, session)));
  emit(code, {0x3B, 0x0D}); // cmp mode(%rip),%ecx
  const Address after_compare = at + static_cast<std::ptrdiff_t>(code.size() + 4);
  emit_word(code, static_cast<std::int32_t>(TrampolineSpace::mode_word(at) - after_compare));
  emit(code, {0x75, 0}); // jne slow
  const std::size_t to_slow = code.size();
  emit(code, {0x64, 0x48, 0x8B, 0x0C, 0x25}); // mov %fs:record,%rcx
  emit_word(code, field(offsetof(ThreadWords, record)));
  emit(code, {0x48, 0x83, 0x81}); // addq $1,hits+8*index(%rcx)
  emit_word(code,
            static_cast<std::int32_t>(offsetof(ThreadRecord, hits) + site.index * sizeof(std::uint64_t)));
  emit(code, {0x01});
  emit(code, {0x04, 0x7F, 0x9E, 0x59, 0x58});          // add $0x7f,%al; sahf; pop %rcx; pop %rax
  emit(code, {0x48, 0x8D, 0xA4, 0x24, 0x80, 0, 0, 0}); // lea 128(%rsp),%rsp
  built.displaced = code.size();
  const auto exit = relocate_with_exit(site.instruction, at + static_cast<std::ptrdiff_t>(code.size()));
  if (!exit)
    return std::unexpected(exit.error());
  code.insert(code.end(), exit->code().begin(), exit->code().end());
  code[to_slow - 1] = static_cast<std::uint8_t>(code.size() - to_slow);
  emit(code, {0x48, 0xB9}); // mov $site,%rcx
  emit_word(code, reinterpret_cast<std::uint64_t>(&site));
  emit(code, {0xFF, 0x25, 0, 0, 0, 0}); // jmp *slow
  emit_word(code, reinterpret_cast<std::uint64_t>(&proberace_trampoline_slow));
  return built;
}

} // namespace

std::vector<std::uint8_t> jump_code(Address at, Address target) {
  Code code;
  const std::ptrdiff_t distance = target - (at + static_cast<std::ptrdiff_t>(kJumpBytes));
  if (distance >= std::numeric_limits<std::int32_t>::min() &&
      distance <= std::numeric_limits<std::int32_t>::max()) {
    emit(code, {0xE9});
    emit_word(code, static_cast<std::int32_t>(distance));
  } else {
    emit(code, {0xFF, 0x25, 0, 0, 0, 0}); // jmp *word(%rip)
    emit_word(code, static_cast<std::uint64_t>(value(target)));
  }
  return code;
}

Status build_trampoline(TrampolineSpace& space, JumpSite& site) {
  // Assembled once beside the site, to refuse an instruction that cannot be moved, and to learn about how
  // long the code is.
  const auto probe = assemble(site, page_of(site.site.address) + 16);
  if (!probe)
    return std::unexpected(probe.error());
  constexpr std::size_t kFarJumps = 2 * 9; // two jumps may grow from 5 to 14 bytes
  const std::size_t room = probe->code.size() + kFarJumps;
  const auto at = space.reserve(site.site.address, room);
  if (!at)
    return std::unexpected(at.error());
  const auto built = assemble(site, *at);
  if (!built)
    return std::unexpected(built.error());
  if (built->code.size() > room)
    return failure(ErrorKind::NoRoom, site.site.address, "the trampoline outgrew its room");
  site.trampoline = *at;
  site.displaced = *at + static_cast<std::ptrdiff_t>(built->displaced);
  space.write(*at, built->code);
  return {};
}

} // namespace proberace
