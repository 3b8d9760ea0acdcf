#include "strategies/whole/jump_writer.h"

#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/schedule/point.h"

#include <algorithm>
#include <cerrno>

namespace proberace {

namespace {

constexpr std::array<std::uint8_t, kJumpBytes> kPadding{kInt3, kInt3, kInt3, kInt3, kInt3};

void fail(PatchWrite& w, int error) {
  if (error == 0 || w.error)
    return;
  if (error == EIO || error == EFAULT)
    w.error =
        Error{ErrorKind::MemoryUnsupported, w.site->site.address,
              "the kernel does not write here through /proc/self/mem (a shared mapping, unmapped memory, "
              "or proc_mem.force_override=never)"};
  else
    w.error = system_error("cannot write through /proc/self/mem", error, w.site->site.address);
}

// The three steps of writing one patch.
void write_first(PatchWrite& w, std::uint8_t byte) {
  schedule::point(byte == kInt3 ? "jump.int3" : "jump.first", w.site->site.address);
  fail(w, write_code(w.site->site.address, {&byte, 1}));
}
void write_int3(PatchWrite& w) {
  if (w.error)
    return;
  write_first(w, kInt3);
  w.int3_written = !w.error;
}
void write_tail(PatchWrite& w, std::span<const std::uint8_t> bytes) {
  schedule::point("jump.tail", w.site->site.address);
  if (bytes.size() > 1)
    fail(w, write_code(w.site->site.address + 1, bytes.subspan(1)));
}
std::span<const std::uint8_t> jump_bytes(const JumpSite& s) {
  return std::span(s.patch.bytes).first(s.patch.written);
}
std::span<const std::uint8_t> original_bytes(const JumpSite& s) {
  return s.instruction.code().first(s.patch.written);
}
void set_patching(JumpSite& s, bool on) {
  schedule::point(on ? "jump.begin" : "jump.end", s.site.address);
  // Relaxed: this is the only writer.
  const std::uint32_t now = s.patching.load(std::memory_order_relaxed);
  // Pairs with the SIGTRAP handler.
  if (((now & 1) != 0) != on)
    s.patching.store(now + 1, std::memory_order_release);
}

// True if the springboard, which may lie on another page than the site, is still there (H15). Its first byte
// is an int3 if a removal failed half-way.
bool springboard_is_there(const JumpSite& s) {
  std::array<std::uint8_t, kJumpBytes> now{};
  return s.patch.springboard != Address{} && read_code(s.patch.springboard, now) &&
         std::ranges::equal(std::span(now).subspan(1), std::span(s.patch.springboard_bytes).subspan(1)) &&
         (now[0] == kInt3 || now[0] == s.patch.springboard_bytes[0]);
}

// Takes back, in the same order, the bytes that were written for patches that failed. One that cannot be
// taken back keeps its int3 in front, and `patching` odd: a thread that meets it continues in the trampoline.
void undo(std::span<PatchWrite> batch) {
  std::vector<std::pair<JumpSite*, bool>> failed; // and whether all is undone
  for (PatchWrite& w : batch)
    if (w.error && w.int3_written)
      failed.emplace_back(w.site,
                          write_code(w.site->site.address + 1, original_bytes(*w.site).subspan(1)) == 0);
  if (failed.empty())
    return;
  serialise_cores();
  for (auto& [site, undone] : failed) {
    undone = undone && write_code(site->site.address, original_bytes(*site).first(1)) == 0;
    if (site->patch.springboard != Address{})
      (void)write_code(site->patch.springboard, kPadding);
  }
  serialise_cores();
  for (const auto& [site, undone] : failed)
    if (undone)
      set_patching(*site, false);
}

} // namespace

void write_jumps(std::span<PatchWrite> batch) {
  for (PatchWrite& w : batch) {
    // Before its int3 can be seen (H18).
    set_patching(*w.site, true);
    // The springboard's first byte is still the int3 that was there.
    if (w.site->patch.springboard != Address{})
      fail(w,
           write_code(w.site->patch.springboard + 1, std::span(w.site->patch.springboard_bytes).subspan(1)));
    write_int3(w);
  }
  serialise_cores();
  for (PatchWrite& w : batch) {
    if (w.error)
      continue;
    write_tail(w, jump_bytes(*w.site));
    if (w.site->patch.springboard != Address{})
      fail(w, write_code(w.site->patch.springboard, std::span(w.site->patch.springboard_bytes).first(1)));
  }
  serialise_cores();
  for (PatchWrite& w : batch)
    if (!w.error)
      write_first(w, jump_bytes(*w.site)[0]);
  serialise_cores();
  undo(batch);
  for (PatchWrite& w : batch)
    if (!w.error || !w.int3_written)
      set_patching(*w.site, false);
}

void write_originals(std::span<PatchWrite> batch) {
  for (PatchWrite& w : batch) {
    set_patching(*w.site, true);
    write_int3(w);
    w.has_springboard = springboard_is_there(*w.site);
    if (!w.error && w.has_springboard)
      fail(w, write_code(w.site->patch.springboard, std::span(kPadding).first(1)));
  }
  serialise_cores();
  for (PatchWrite& w : batch) {
    if (w.error)
      continue;
    write_tail(w, original_bytes(*w.site));
    if (w.has_springboard)
      fail(w, write_code(w.site->patch.springboard + 1, std::span(kPadding).subspan(1)));
  }
  serialise_cores();
  for (PatchWrite& w : batch)
    if (!w.error)
      write_first(w, original_bytes(*w.site)[0]);
  serialise_cores();
  // Of the others the int3 may still be there, and threads that meet it continue in the trampoline.
  for (PatchWrite& w : batch)
    if (!w.error || !w.int3_written)
      set_patching(*w.site, false);
}

void take_springboard_back(const JumpSite& site) {
  if (!springboard_is_there(site))
    return;
  // No thread is sent to it any more.
  (void)write_code(site.patch.springboard, kPadding);
  serialise_cores();
}

} // namespace proberace
