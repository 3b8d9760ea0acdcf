// The act `rewrite`: a thread maps code of its own, probes it, and puts other code in its place, as a JIT or dlclose
// does (H15). No plan, slot or patch of the first may act on the second.
#include "harness/base/process_memory.h"
#include "harness/code/decode.h"
#include "stress/code/probed_text.h"
#include "stress/code/taking.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/own_probes.h"
#include "stress/scenario/signals.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::size_t kPages = 2;
constexpr std::size_t kTextBytes = kPages * kPageBytes;
constexpr std::uint64_t kCalls = 3;

enum class Where { Within, AcrossPages, AtTheEnd }; // the site, or the end of the body
// Over: while the probe is armed. Unmapped: likewise, without other code in its place, and nobody removes the probe.
enum class How { InPlace, MappedAgain, MappedOver, Unmapped };

// What its pages are while it is first tried.
enum class Pages { Ordinary, Locked, ReadOnly, Unreadable, Shared };

// The text's bytes with one body: a jump at the start, which makes all of it one function, then the body.
struct Layout {
  // Filled with hlt: a removal takes an int3 of the program's own, at the address of a probe, for the probe's.
  std::vector<std::uint8_t> code = std::vector<std::uint8_t>(kTextBytes, 0xf4);
  std::size_t site = 0; // its offset
};

Layout layout_of(const Body& body, Where where) {
  constexpr std::uint8_t kJmpRel32 = 0xe9;
  constexpr std::size_t kJmpBytes = 5;
  constexpr std::size_t kSite = 256; // the same for each body
  Layout layout;
  const std::size_t entry = where == Where::Within        ? kSite - body.site_offset()
                            : where == Where::AcrossPages ? kPageBytes - 1 - body.site_offset()
                                                          : kTextBytes - body.bytes();
  layout.site = entry + body.site_offset();
  std::copy(body.code, body.end, layout.code.begin() + static_cast<std::ptrdiff_t>(entry));
  const auto distance = static_cast<std::uint32_t>(entry - kJmpBytes);
  layout.code[0] = kJmpRel32;
  std::memcpy(&layout.code[1], &distance, sizeof distance);
  return layout;
}

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
    const Signals::OwnCode code(start_, kTextBytes);
    if (pages_ != Pages::Ordinary)
      try_on_other_pages();
    if (pages_ == Pages::Shared && !map(first, memory_))
      return;
    insert(Refusal::NeedsReason);
    execute();
    if (how_ == How::Unmapped)
      return take_away();
    if (how_ != How::MappedOver) {
      remove(Code::Probed);
      look_at_bytes();
      execute();
    }
    if (!replace(second))
      return remove(Code::Probed);
    execute(Code::Replaced);
    remove(Code::Replaced);
    look_at_bytes();
    probe_once_more();
    if (replace(first))
      probe_once_more();
  }

private:
  enum class Probe { None, Armed, LeftArmed };
  enum class Refusal { NeedsReason, IsAllowed };
  enum class Code { Probed, Replaced }; // since the probe was inserted

  void probe_once_more() {
    insert(Refusal::NeedsReason);
    execute();
    remove(Code::Probed);
    look_at_bytes();
    execute();
  }

  // Places for the text, with a hole behind it.
  bool reserve() {
    const std::size_t bytes = kTextBytes + kPageBytes;
    void* const place = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
      return false;
    start_ = address_of(place);
    return ::munmap(bytes_at(start_ + kTextBytes), kPageBytes) == 0;
  }

  // The place stays reserved. Otherwise another act may map code there, and the prober would refuse a probe on it,
  // because this one is still armed.
  void take_away() {
    text_->forget();
    (void)::mmap(bytes_at(start_), kTextBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }

  // False if there is no memory for it.
  bool put_first(const Body& body) {
    return reserve() && map(body, pages_ == Pages::Shared ? TextMemory::SharedMemory : memory_);
  }

  bool map(const Body& body, TextMemory memory) {
    if (probe_ == Probe::LeftArmed)
      return false;
    body_ = &body;
    layout_ = layout_of(body, where_);
    written_ = false;
    auto fresh = Text::of_bytes(layout_.code, memory, start_);
    if (!fresh)
      return false;
    if (text_)
      text_->forget();
    text_.emplace(std::move(*fresh));
    return true;
  }

  bool replace(const Body& body) {
    if (how_ != How::InPlace)
      return map(body, memory_);
    if (probe_ == Probe::LeftArmed)
      return false;
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
    // takes others with it.
    const bool same =
        written_ && site_ && site_->address == at && own_.prober().facts().traps != Traps::NoHit;
    if (!same)
      own_.target().add_function(start_, kTextBytes, "rewritten");
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
      ::mlock(begin, kTextBytes);
    if (closed)
      ::mprotect(begin, kTextBytes, pages_ == Pages::ReadOnly ? PROT_READ : PROT_NONE);
    insert(Refusal::IsAllowed);
    if (pages_ == Pages::Locked)
      ::munlock(begin, kTextBytes);
    if (closed)
      ::mprotect(begin, kTextBytes, PROT_READ | PROT_EXEC);
    execute();
    remove(Code::Probed);
    look_at_bytes();
    if (pages_ == Pages::Locked)
      lock_while_armed();
  }

  void lock_while_armed() {
    std::uint8_t* const begin = bytes_at(start_);
    insert(Refusal::NeedsReason);
    ::mlock(begin, kTextBytes);
    remove(Code::Probed);
    ::munlock(begin, kTextBytes);
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
  bool written_ = false; // in place
};

// Another body with the same instruction at its site, so that nothing but what lies around it is rewritten; or null.
const Body* twin_of(const Body& body, const Promises& promised) {
  const auto instruction_of = [](const Body& b) {
    const auto instruction = decode(address_of(b.site), {b.site, b.end});
    return instruction ? std::vector(b.site, b.site + instruction->length) : std::vector<std::uint8_t>{};
  };
  const auto wanted = instruction_of(body);
  for (const Body& other : all_bodies())
    if (&other != &body && is_counted_right(other, promised) && instruction_of(other) == wanted)
      return &other;
  return nullptr;
}

How how_for(const Prober& prober, How drawn) {
  // The kernel takes an instruction from the file.
  if (drawn == How::InPlace && prober.facts().handled_by == HandledBy::Kernel)
    return How::MappedAgain;
  return drawn;
}

Pages pages_for(const Prober& prober, Pages drawn) {
  const bool shared_anyway =
      prober.facts().handled_by == HandledBy::Kernel || text_memory_for(prober) == TextMemory::SharedMemory;
  return drawn == Pages::Shared && shared_anyway ? Pages::Ordinary : drawn;
}

} // namespace

namespace perform {

void Rewrite(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.closed_)
    return;
  const Body& first = *run.text_.bodies()[act.bodies[0]].body;
  const Body& second = *run.text_.bodies()[act.bodies[1]].body;
  // Chosen by the bodies, so that a run can be repeated.
  const auto number = [](const Body& body) { return static_cast<std::size_t>(&body - all_bodies().data()); };
  const std::size_t choice = 7 * number(first) + 5 * number(second);
  const auto named = [&](const Body& other) {
    return OwnProbes(run, thread, fmt::format("rewritten code ({}, {})", first.name(), other.name()));
  };
  const OwnProbes own = named(second);
  // In place is done each time. It is the hardest case: the new instruction has the old one's address, and perhaps its
  // length.
  const How in_place = how_for(own.prober(), How::InPlace);
  Rewriting(own, Where::Within, in_place, Pages::Ordinary).rewrite(first, second);
  if (const Body* const twin = twin_of(first, own.prober().promises()))
    Rewriting(named(*twin), Where::Within, in_place, Pages::Ordinary).rewrite(first, *twin);
  Rewriting(own, Where(choice % 3), how_for(own.prober(), How(choice / 3 % 4)),
            pages_for(own.prober(), Pages(choice / 12 % 5)))
      .rewrite(first, second);
}

} // namespace perform

} // namespace proberace
