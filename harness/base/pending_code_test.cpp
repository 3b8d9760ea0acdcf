#include "harness/base/pending_code.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::size_t kPages = 2;

struct Write {
  std::size_t page;
  std::size_t offset;
  std::vector<std::uint8_t> code;
};

void showValue(const Write& w, std::ostream& out) { // for RapidCheck's counterexamples
  out << w.code.size() << " bytes at " << w.page * kPageBytes + w.offset;
}

rc::Gen<Write> a_write() {
  // Few places, so that writes meet.
  const auto code = rc::gen::suchThat<std::vector<std::uint8_t>>([](const auto& c) { return !c.empty(); });
  return rc::gen::apply(
      [](std::size_t page, std::size_t offset, std::vector<std::uint8_t> bytes) {
        bytes.resize(std::min(bytes.size(), kPageBytes - offset));
        return Write{page, offset, std::move(bytes)};
      },
      rc::gen::inRange<std::size_t>(0, kPages),
      rc::gen::oneOf(rc::gen::inRange<std::size_t>(0, 40),
                     rc::gen::inRange<std::size_t>(kPageBytes - 40, kPageBytes)),
      code);
}

} // namespace

// Fails if a run that lies behind the new bytes is not merged, or is merged over them.
RC_GTEST_PROP(PendingCode, MemoryHoldsWhatWasAddedLast, ()) {
  const auto writes = *rc::gen::container<std::vector<Write>>(a_write());
  void* const mapped =
      ::mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool got_memory = mapped != MAP_FAILED;
  RC_ASSERT(got_memory);
  const std::span memory(static_cast<const std::uint8_t*>(mapped), kPages * kPageBytes);
  std::vector<std::uint8_t> expected(memory.size());
  PendingCode pending;
  for (const Write& w : writes) {
    const std::size_t at = w.page * kPageBytes + w.offset;
    pending.add(address_of(memory.data() + at), w.code);
    std::ranges::copy(w.code, expected.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const bool unwritten = std::ranges::all_of(memory, [](std::uint8_t b) { return b == 0; });
  const bool flushed = pending.flush().has_value();
  const bool there = std::ranges::equal(memory, expected);
  ::munmap(mapped, memory.size());
  RC_ASSERT(unwritten);
  RC_ASSERT(flushed);
  RC_ASSERT(there);
}

} // namespace proberace
