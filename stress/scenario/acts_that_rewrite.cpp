// The act `rewrite`: a thread maps code of its own, probes it, and puts other code in its place, as a JIT or dlclose
// does (H15). No plan, slot or patch of the first may act on the second.
#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/scenario/broken_properties.h"
#include "stress/scenario/scenario_run.h"
#include "stress/scenario/signals.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::size_t kPages = 2;
constexpr std::size_t kTextBytes = kPages * kPageBytes;
constexpr std::uint64_t kExecutions = 3;

enum class Where { Within, AcrossPages, AtTheEnd }; // the site, or the end of the body
// Over: while the probe is armed. Unmapped: likewise, and nobody removes the probe.
enum class How { InPlace, MappedAgain, MappedOver, Unmapped };

// What its pages are while it is first tried.
enum class Pages { Ordinary, Locked, ReadOnly, Unreadable, Shared };

// The text's bytes with one body: a jump at the start, which makes all of it one function, then the body.
std::vector<std::uint8_t> code_with(const Body& body, Where where) {
  constexpr std::uint8_t kJmpRel32 = 0xe9;
  constexpr std::size_t kJmpBytes = 5;
  constexpr std::size_t kSite = 256; // the same for each body
  std::vector<std::uint8_t> code(kTextBytes, kInt3);
  const std::size_t entry = where == Where::Within        ? kSite - body.site_offset()
                            : where == Where::AcrossPages ? kPageBytes - 1 - body.site_offset()
                                                          : kTextBytes - body.bytes();
  std::copy(body.code, body.end, code.begin() + static_cast<std::ptrdiff_t>(entry));
  const auto distance = static_cast<std::uint32_t>(entry - kJmpBytes);
  code[0] = kJmpRel32;
  for (std::size_t i = 0; i < sizeof distance; ++i)
    code[1 + i] = static_cast<std::uint8_t>(distance >> (8 * i));
  return code;
}

std::size_t site_offset(const std::vector<std::uint8_t>& code, const Body& body) {
  std::uint32_t distance = 0;
  std::memcpy(&distance, &code[1], sizeof distance);
  return distance + 5 + body.site_offset();
}

} // namespace

struct Rewriting {
  ScenarioRun& run;
  std::size_t thread;
  Where where;
  How how;
  TextMemory memory{};
  Address start{};
  std::optional<Text> text{};
  const Body* body = nullptr;
  std::vector<std::uint8_t> code{};
  std::optional<Site> site{};
  bool armed = false;
  bool written = false;  // in place
  bool given_up = false; // it may be armed
  bool tried = false;    // while its pages are locked, not executable, or shared

  ~Rewriting() {
    if (given_up && text)
      text->forget(); // stays mapped
  }

  void note(std::string property, const std::string& what) const {
    run.note(thread, std::move(property), fmt::format("rewritten code ({}): {}", body->name(), what));
  }

  // Places for the text, with a hole behind it.
  bool reserve() {
    const std::size_t bytes = kTextBytes + kPageBytes;
    void* const place = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
      return false;
    start = address_of(place);
    return ::munmap(bytes_at(start + kTextBytes), kPageBytes) == 0;
  }

  // False if there is no memory for it.
  bool put(const Body& other) {
    if (given_up)
      return false;
    if (!text || how != How::InPlace)
      return put_anew(other);
    body = &other;
    code = code_with(other, where);
    written = true;
    return write_code(start, code) == 0;
  }

  bool put_anew(const Body& other) {
    if (given_up)
      return false;
    body = &other;
    code = code_with(other, where);
    written = false;
    if (!text && !reserve())
      return false;
    auto fresh = Text::of_bytes(code, memory, start);
    if (!fresh)
      return false;
    if (text)
      text->forget();
    text.emplace(std::move(*fresh));
    return true;
  }

  void execute(std::uint64_t times, std::uint64_t counted) {
    if (given_up)
      return;
    Worker& self = run.workers_[run.rows_.own(thread)];
    const std::uint64_t before = site ? run.prober_->hits(*site) : 0;
    for (std::uint64_t n = 0; n < times; ++n)
      if (const Fault fault = self.execute_at(text->start()); fault != Fault::None)
        note(property_name(fault), armed ? "while it is probed" : "while it is not probed");
    if (!site || !run.prober_->promises().has(Promise::ExactCounts))
      return;
    if (const std::uint64_t hits = run.prober_->hits(*site) - before; hits != counted)
      note(property_name(Fault::WrongCount),
           fmt::format("{} executions, {} hits, not {}", times, hits, counted));
  }

  // A jump may find no room at an edge. Armers that replace pages take none that the program has written.
  bool explains(ErrorKind refusal) const {
    const bool edge = run.prober_->facts().traps == Traps::NoHit && where != Where::Within;
    return edge || tried || (refusal == ErrorKind::MemoryUnsupported && how == How::InPlace && written);
  }

  void insert() {
    if (given_up)
      return;
    const Address at = text->start() + static_cast<std::ptrdiff_t>(site_offset(code, *body));
    // A function may be written anew without a word to the target if an instruction begins where one began. A jump
    // takes others with it.
    const bool same = written && site && site->address == at && run.prober_->facts().traps != Traps::NoHit;
    if (!same)
      run.target_.add_function(text->start(), kTextBytes, "rewritten");
    site.reset();
    const auto found = run.target_.site_at(at);
    if (!found && tried)
      return;
    if (!found)
      return note(property_name(BrokenProperty::Refused), describe(found.error()));
    site = *found;
    const Status inserted = first_error(run.prober_->insert({{*site}}));
    armed = inserted.has_value();
    if (!inserted && run.breaks(inserted.error().kind, true, *body) && !explains(inserted.error().kind))
      note(property_name(BrokenProperty::Refused), describe(inserted.error()));
  }

  // `gone`: the code that was probed is not there any more.
  void remove(bool gone) {
    if (!armed)
      return;
    const Status removed = first_error(run.prober_->remove({{*site}}));
    // A thread that did not stop in time left it armed: nothing more can be said of this code, or done with it.
    if (!removed && removed.error().kind == ErrorKind::ThreadWouldNotStop) {
      given_up = true;
      return;
    }
    armed = false;
    if (!removed && !(gone && removed.error().kind == ErrorKind::StaleSite) &&
        run.breaks(removed.error().kind, false, *body))
      note(property_name(BrokenProperty::Removal), describe(removed.error()));
  }

  // An insertion there may be refused. It leaves nothing behind if so; else the probe counts, and can be removed.
  void try_on_other_pages(Pages pages) {
    std::uint8_t* const begin = bytes_at(text->start());
    const auto protect = [&](int permissions) { ::mprotect(begin, kTextBytes, permissions); };
    tried = true;
    if (pages == Pages::Locked)
      ::mlock(begin, kTextBytes);
    if (pages == Pages::ReadOnly || pages == Pages::Unreadable)
      protect(pages == Pages::ReadOnly ? PROT_READ : PROT_NONE);
    insert();
    if (pages == Pages::Locked)
      ::munlock(begin, kTextBytes);
    if (pages == Pages::ReadOnly || pages == Pages::Unreadable)
      protect(PROT_READ | PROT_EXEC);
    tried = false;
    execute(kExecutions, armed ? kExecutions : 0);
    remove(false);
    look_at_bytes();
    if (pages != Pages::Locked)
      return;
    // Locked while it is armed.
    insert();
    ::mlock(begin, kTextBytes);
    remove(false);
    ::munlock(begin, kTextBytes);
    look_at_bytes();
  }

  void look_at_bytes() const {
    if (given_up)
      return;
    std::vector<std::uint8_t> now(code.size());
    if (!read_memory(text->start(), now) || now != code)
      note(property_name(Fault::NotRestored), "its bytes are not its own");
  }
};

namespace perform {

void Rewrite(ScenarioRun& run, std::size_t thread, const Act& act) {
  if (run.closed_)
    return;
  const Body* const bodies[] = {run.text_.bodies()[act.bodies[0]].body,
                                run.text_.bodies()[act.bodies[1]].body};
  // Chosen by the bodies, so that a run can be repeated.
  const auto number = [](const Body* body) { return static_cast<std::size_t>(body - all_bodies().data()); };
  const std::size_t choice = 7 * number(bodies[0]) + 5 * number(bodies[1]);
  Rewriting own{run, thread, Where(choice % 3), How(choice / 3 % 4), text_memory_for(*run.prober_)};
  const bool by_kernel = run.prober_->facts().handled_by == HandledBy::Kernel;
  // The kernel takes an instruction from the file.
  if (own.how == How::InPlace && by_kernel)
    own.how = How::MappedAgain;
  if (own.how > How::MappedAgain && !run.prober_->promises().has(Promise::UnmappingSafe))
    own.how = How::MappedAgain;
  auto pages = Pages(choice / 12 % 5);
  if (pages == Pages::Shared && (by_kernel || own.memory == TextMemory::SharedMemory))
    pages = Pages::Ordinary;
  const TextMemory memory = own.memory;
  if (pages == Pages::Shared)
    own.memory = TextMemory::SharedMemory;
  if (!own.put(*bodies[0]))
    return;
  const Signals::OwnCode code(own.text->start(), kTextBytes);
  if (pages != Pages::Ordinary)
    own.try_on_other_pages(pages);
  own.memory = memory;
  if (pages == Pages::Shared && !own.put_anew(*bodies[0]))
    return;
  own.insert();
  own.execute(kExecutions, own.armed ? kExecutions : 0);
  if (own.how == How::Unmapped)
    return;
  if (own.how != How::MappedOver) {
    own.remove(false);
    own.look_at_bytes();
    own.execute(kExecutions, 0);
  }
  if (!own.put(*bodies[1]))
    return own.remove(false);
  own.execute(kExecutions, 0);
  own.remove(true);
  own.look_at_bytes();
  own.insert();
  own.execute(kExecutions, own.armed ? kExecutions : 0);
  own.remove(false);
  own.look_at_bytes();
  own.execute(kExecutions, 0);
}

} // namespace perform

} // namespace proberace
