#include "harness/trap/saved_pc.h"

#include "harness/base/process_memory.h"
#include "harness/base/signal_action.h"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string>
#include <ucontext.h>
#include <vector>

namespace proberace {

namespace {

// The distance from the word that holds a frame's RIP down to the frame's first word, to which the handler
// returns (arch/x86/include/asm/sigframe.h: rt_sigframe is that word and a ucontext).
constexpr std::ptrdiff_t kFrameBelowRip = static_cast<std::ptrdiff_t>(
    sizeof(std::uint64_t) + offsetof(ucontext_t, uc_mcontext.gregs) + REG_RIP * sizeof(greg_t));

// A stack is searched no deeper than this: no test or program here keeps a thread for so long in calls that
// began in an interrupted slot.
constexpr std::size_t kDeepestLook = std::size_t{1} << 20;

constexpr std::uint64_t kUserCode = 0x33; // the 64-bit code segment's selector

std::uint64_t word_at(Address at) {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes{};
  std::uint64_t word = 0;
  if (read_memory(at, bytes))
    std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

// True if a word on the stack is the RIP of a signal's frame, and not of our own handler's: a pointer to a
// slot may also lie there by accident. Behind RIP lie the flags, whose bit 1 is always set, and the
// selectors.
bool is_saved_pc(Address rip_word) {
  constexpr std::uint64_t kAlwaysSet = 2;
  const std::uint64_t flags = word_at(rip_word + 8);
  return (word_at(rip_word + 16) & 0xFFFF) == kUserCode && (flags & kAlwaysSet) != 0 && flags >> 22 == 0 &&
         Address{word_at(rip_word - kFrameBelowRip)} != signal_restorer();
}

// A cheap test that rules out most words: false if the chunk shows that no selector lies behind the word.
bool may_be_saved_pc(std::span<const std::uint8_t> chunk, std::size_t at) {
  return at + 16 >= chunk.size() || chunk[at + 16] == kUserCode;
}

// Reads the whole buffer at once, and page by page towards the end of the stack.
std::span<const std::uint8_t> read_stack(Address at, std::span<std::uint8_t> buffer) {
  if (read_memory(at, buffer))
    return buffer;
  const auto page = buffer.first(kPageBytes - offset_in_page(at));
  return read_memory(at, page) ? page : std::span<std::uint8_t>();
}

bool stack_holds(Address pointer, const OurCode& ours) {
  std::vector<std::uint8_t> buffer(16 * kPageBytes);
  Address at{value(pointer) & ~std::uintptr_t{7}};
  for (const Address end = at + kDeepestLook; at < end;) {
    const std::span chunk = read_stack(at, buffer);
    if (chunk.empty())
      return false; // the end of the stack
    for (std::size_t i = 0; i + 8 <= chunk.size(); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, chunk.data() + i, sizeof word);
      if (word != 0 && Address{word} == ours.called_from)
        return true;
      if (may_be_saved_pc(chunk, i) && ours.holds(Address{word}) &&
          is_saved_pc(at + static_cast<std::ptrdiff_t>(i)))
        return true;
    }
    at = at + static_cast<std::ptrdiff_t>(chunk.size());
  }
  return false;
}

} // namespace

Whereabouts whereabouts(pid_t thread, const OurCode& ours) {
  // The line is "running", or hexadecimal numbers whose last two are the stack pointer and the PC.
  std::string line;
  std::getline(std::ifstream(fmt::format("/proc/self/task/{}/syscall", thread)), line);
  if (line.empty() || line.starts_with("running"))
    return Whereabouts::Running;
  std::istringstream words(line);
  std::vector<std::uint64_t> numbers;
  for (std::string word; words >> word;)
    numbers.push_back(std::strtoull(word.c_str(), nullptr, 0));
  if (numbers.size() < 3)
    return Whereabouts::Running;
  const Address pc{numbers.back()};
  const Address pointer{numbers[numbers.size() - 2]};
  return ours.holds(pc) || stack_holds(pointer, ours) ? Whereabouts::Inside : Whereabouts::Elsewhere;
}

} // namespace proberace
