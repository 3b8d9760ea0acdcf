// One piece of code that is probed, replaced and probed again. Private to this folder.
#pragma once

#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/companion.h"
#include "stress/scenario/own_probes.h"
#include "stress/scenario/rewritten_layout.h"
#include "stress/scenario/signals.h"

#include <sys/mman.h>
#include <utility>

namespace proberace {

// Over: while the probe is armed. Unmapped: likewise, without other code in its place, and nobody removes the probe.
// Loaded: the same pages of the file come back, without the probe's byte.
enum class How { InPlace, MappedAgain, MappedOver, Unmapped, LoadedAgain };
inline constexpr std::size_t kWays = 5;

// What its pages are while it is first tried. Written: the program has written the code into a mapping of something
// else, as text relocations are, so that the page is a private copy (H63).
enum class Pages { Ordinary, Locked, ReadOnly, Unreadable, Shared, Written };
inline constexpr std::size_t kKindsOfPages = 6;

class Rewriting {
public:
  Rewriting(const OwnProbes& own, Where where, How how, Pages pages)
      : own_(own), where_(where), how_(how), pages_(pages), memory_(text_memory_for(own.prober())) {}
  Rewriting(const Rewriting&) = delete;
  Rewriting& operator=(const Rewriting&) = delete;
  ~Rewriting() {
    if (probe_ == Probe::LeftArmed)
      own_.keep(std::move(*text_));
  }

  void rewrite(const Body& first, const Body& second) {
    if (!put_first(first))
      return;
    const Signals::OwnCode code(start_, kRewrittenBytes);
    if (pages_ != Pages::Ordinary)
      try_on_other_pages();
    if (pages_ == Pages::Shared && (probe_ == Probe::LeftArmed || !map(first, memory_)))
      return;
    insert(Refusal::NeedsReason);
    execute();
    if (how_ == How::Unmapped)
      return take_away();
    if (how_ == How::LoadedAgain)
      return load_again();
    if (how_ != How::MappedOver) {
      remove(Code::Probed);
      look_at_bytes();
      execute();
    }
    if (!replace(second))
      return remove(Code::Probed);
    execute(Code::Replaced);
    if (how_ == How::MappedOver)
      probe_beside_what_is_gone();
    remove(Code::Replaced);
    look_at_bytes();
    probe_once_more();
    if (replace(first))
      probe_once_more();
  }

private:
  static constexpr std::uint64_t kCalls = 3;
  static constexpr int kProbesBesideAnother = 3;
  static constexpr std::size_t kLater = 512;

  enum class Probe { None, Armed, LeftArmed };
  enum class Refusal { NeedsReason, IsAllowed };
  enum class Code { Probed, Replaced }; // since the probe was inserted

  void probe_once_more(Refusal refusal = Refusal::NeedsReason) {
    probe_while_another_executes(refusal);
    insert(refusal);
    execute();
    remove(Code::Probed);
    look_at_bytes();
    execute();
  }

  void probe_while_another_executes(Refusal refusal) {
    if (probe_ == Probe::LeftArmed || own_.prober().facts().removal == Removal::Slow)
      return;
    const Companion other(own_, {start_});
    for (int n = 0; n < kProbesBesideAnother; ++n) {
      insert(refusal);
      remove(Code::Probed);
    }
  }

  // The prober still has the probe that went with the first code, when it arms another in the page.
  void probe_beside_what_is_gone() {
    if (probe_ != Probe::Armed)
      return;
    const std::optional<Site> gone = std::exchange(site_, std::nullopt);
    probe_ = Probe::None;
    // At an edge the two sites may overlap.
    probe_once_more(where_ == Where::Within ? Refusal::NeedsReason : Refusal::IsAllowed);
    if (probe_ == Probe::LeftArmed)
      return;
    site_ = gone;
    probe_ = Probe::Armed;
  }

  // Places for the text, with a hole behind it.
  bool reserve() {
    const std::size_t bytes = kRewrittenBytes + kPageBytes;
    void* const place = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
      return false;
    start_ = address_of(place);
    return ::munmap(bytes_at(start_ + kRewrittenBytes), kPageBytes) == 0;
  }

  // The place stays reserved. Otherwise another act may map code there, and the prober would refuse a probe on it,
  // because this one is still armed.
  void unmap() const {
    (void)::mmap(bytes_at(start_), kRewrittenBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0);
  }

  void take_away() {
    text_->forget();
    unmap();
  }

  // As by dlclose and dlopen. What is probed once more is the same site.
  void load_again() {
    if (probe_ == Probe::LeftArmed)
      return;
    unmap();
    if (!text_->map_again())
      return;
    execute(Code::Replaced);
    remove(Code::Replaced);
    look_at_bytes();
    probe_once_more();
  }

  // False if there is no memory for it.
  bool put_first(const Body& body) {
    if (!reserve())
      return false;
    if (pages_ == Pages::Written)
      return map(std::vector(kRewrittenBytes, kHlt), memory_) && write(body);
    return map(body, pages_ == Pages::Shared ? TextMemory::SharedMemory : memory_);
  }

  bool map(const Body& body, TextMemory memory) {
    body_ = &body;
    // Where the first code had its site there is no instruction of the second, if the first's probe is armed still.
    layout_ = layout_of(body, where_, probe_ == Probe::Armed ? kLater : 0);
    written_ = false;
    return map(layout_.code, memory);
  }

  bool map(std::span<const std::uint8_t> code, TextMemory memory) {
    auto fresh = Text::of_bytes(code, memory, start_);
    if (!fresh)
      return false;
    if (text_)
      text_->forget();
    text_.emplace(std::move(*fresh));
    return true;
  }

  bool replace(const Body& body) {
    if (probe_ == Probe::LeftArmed)
      return false;
    replaced_ = true;
    return how_ == How::InPlace ? write(body) : map(body, memory_);
  }

  bool write(const Body& body) {
    alike_ = body_ != nullptr && lengths_of(*body_) == lengths_of(body);
    body_ = &body;
    layout_ = layout_of(body, where_);
    written_ = true;
    return write_code(start_, layout_.code) == 0;
  }

  std::string_view when() const {
    return probe_ == Probe::Armed ? "while it is probed" : "while it is not probed";
  }

  void execute(Code code = Code::Probed) const {
    if (probe_ == Probe::LeftArmed)
      return;
    const std::uint64_t before = site_ ? own_.prober().hits(*site_) : 0;
    for (std::uint64_t n = 0; n < kCalls; ++n)
      own_.call(start_, when());
    const bool counts = probe_ == Probe::Armed && code == Code::Probed;
    if (site_)
      own_.judge_hits(own_.prober().hits(*site_) - before, counts ? kCalls * body_->passes : 0, when());
  }

  // A jump may find no room at an edge. Armers that replace pages take none that the program has written.
  bool explains(ErrorKind refusal) const {
    const bool edge = own_.prober().facts().traps == Traps::NoHit && where_ != Where::Within;
    return edge || (refusal == ErrorKind::MemoryUnsupported && written_);
  }

  void insert(Refusal refusal) {
    if (probe_ == Probe::LeftArmed)
      return;
    const Address at = start_ + static_cast<std::ptrdiff_t>(layout_.site);
    // A function may be written anew without a word to the target if an instruction begins where one began. A jump
    // takes others with it, and a trap in its place may be the first to decode the function.
    const bool same = written_ && site_ && site_->address == at &&
                      (alike_ || own_.prober().facts().traps == Traps::EveryHit);
    if (!same)
      declare();
    site_.reset();
    const auto found = own_.target().site_at(at);
    if (!found && refusal == Refusal::NeedsReason)
      own_.note(property_name(BrokenProperty::Refused), describe(found.error()));
    if (!found)
      return;
    site_ = *found;
    const Status inserted = first_error(own_.prober().insert({{*site_}}));
    probe_ = inserted ? Probe::Armed : Probe::None;
    if (!inserted && refusal == Refusal::NeedsReason && !explains(inserted.error().kind))
      own_.judge(inserted, true, *body_);
  }

  // The first code is two functions. One of the other code takes the place of both.
  void declare() {
    const std::ptrdiff_t entry = replaced_ ? 0 : static_cast<std::ptrdiff_t>(layout_.entry);
    if (entry != 0)
      own_.target().add_function(start_, layout_.entry, "the jump");
    own_.target().add_function(start_ + entry, kRewrittenBytes - static_cast<std::size_t>(entry),
                               "rewritten");
  }

  void remove(Code code) {
    if (probe_ != Probe::Armed)
      return;
    const Status removed = first_error(own_.prober().remove({{*site_}}));
    probe_ = is_left_armed(removed) ? Probe::LeftArmed : Probe::None;
    const bool gone = code == Code::Replaced && !removed && removed.error().kind == ErrorKind::StaleSite;
    if (probe_ == Probe::None && !gone)
      own_.judge(removed, false, *body_);
  }

  void look_at_bytes() const {
    if (probe_ != Probe::LeftArmed)
      own_.judge_bytes(start_, layout_.code);
  }

  // A refusal there leaves nothing behind. A probe that is taken counts, and can be removed.
  void try_on_other_pages() {
    std::uint8_t* const begin = bytes_at(start_);
    const bool closed = pages_ == Pages::ReadOnly || pages_ == Pages::Unreadable;
    if (pages_ == Pages::Locked)
      ::mlock(begin, kRewrittenBytes);
    if (closed)
      ::mprotect(begin, kRewrittenBytes, pages_ == Pages::ReadOnly ? PROT_READ : PROT_NONE);
    insert(Refusal::IsAllowed);
    if (pages_ == Pages::Locked)
      ::munlock(begin, kRewrittenBytes);
    if (closed)
      ::mprotect(begin, kRewrittenBytes, PROT_READ | PROT_EXEC);
    execute();
    remove(Code::Probed);
    look_at_bytes();
    if (pages_ == Pages::Locked)
      lock_while_armed();
  }

  void lock_while_armed() {
    std::uint8_t* const begin = bytes_at(start_);
    insert(Refusal::NeedsReason);
    ::mlock(begin, kRewrittenBytes);
    remove(Code::Probed);
    ::munlock(begin, kRewrittenBytes);
    look_at_bytes();
  }

  const OwnProbes own_;
  const Where where_;
  const How how_;
  const Pages pages_;
  const TextMemory memory_;
  Address start_{};
  std::optional<Text> text_{};
  const Body* body_ = nullptr;
  Layout layout_{};
  std::optional<Site> site_{};
  Probe probe_ = Probe::None;
  bool replaced_ = false;
  bool written_ = false; // in place
  bool alike_ = false;   // and each instruction begins where one began
};

} // namespace proberace
