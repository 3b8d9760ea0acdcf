// promise/unmapping-safe (H15): the program unmaps, replaces, moves or re-protects text while it is probed.
#include "harness/base/process_memory.h"
#include "stress/code/probed_code.h"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <fmt/format.h>
#include <map>
#include <sys/mman.h>

namespace proberace {

namespace {

constexpr std::uint64_t kCalls = 5;

bool run_times(Address entry) {
  auto* const run = reinterpret_cast<Increment*>(bytes_at(entry));
  bool right = true;
  for (std::uint64_t i = 0; i < kCalls; ++i)
    right = run(i) == i + 1 && right;
  return right;
}

// Armed and hit; then `change`, with the page of the text.
Verdict armed_then(const Json& parameters, Verdict (*change)(ProbedCode& code, void* page)) {
  auto code = ProbedCode::open(parameters.at("strategy"), {kIncrement, kIncrement});
  if (!code)
    return verdict_of(code.error());
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  if (!run_times((*code)->entry()) || (*code)->hits(0) != kCalls)
    return broken("setup", "wrong before anything was changed");
  return change(**code, bytes_at((*code)->text().start()));
}

Verdict protected_otherwise(ProbedCode& code, void* page) {
  ::mprotect(page, kPageBytes, PROT_READ);
  ::mprotect(page, kPageBytes, PROT_READ | PROT_EXEC);
  if (!run_times(code.entry()) || code.hits(0) != 2 * kCalls)
    return broken("mprotect",
                  "wrong result or count after the page's protection was changed and changed back");
  const Status removed = code.remove_all();
  return removed ? held() : broken("mprotect", describe(removed.error()));
}

// For as long as the removal takes.
Verdict made_unreadable(ProbedCode& code, void* page) {
  ::mprotect(page, kPageBytes, PROT_NONE);
  const Status removed = code.remove_all();
  ::mprotect(page, kPageBytes, PROT_READ | PROT_EXEC);
  if (!removed)
    return broken("mprotect", "removal from an unreadable page: " + describe(removed.error()));
  if (!run_times(code.entry()) || code.hits(0) != kCalls)
    return broken("mprotect", "a probe was left behind in a page that was unreadable for a moment");
  const Status closed = code.prober().close();
  return closed && run_times(code.entry()) ? held() : broken("mprotect", "close did not go well");
}

Verdict unmapped(ProbedCode& code, void* page) {
  ::munmap(page, kPageBytes);
  (void)code.remove_all(); // an error or success
  const Status closed = code.prober().close();
  return closed ? held() : broken("munmap", "close: " + describe(closed.error()));
}

constexpr std::uint8_t kNop = 0x90;

using Page = std::array<std::uint8_t, kPageBytes>;

// nopl 0(%rax), of seven bytes; lea 1(%rdi),%rax; ret; and `filler` to the end of the page.
Page other_page(std::uint8_t filler) {
  constexpr std::uint8_t kOther[] = {0x0f, 0x1f, 0x80, 0, 0, 0, 0, 0x48, 0x8d, 0x47, 0x01, 0xc3};
  Page page;
  page.fill(filler);
  std::ranges::copy(kOther, page.begin());
  return page;
}

// A probe on the other code: it counts, or was refused, and leaves no trace.
Verdict probed_anew(ProbedCode& code, const Page& other) {
  const auto site = code.target().site_at(code.text().start());
  if (!site)
    return broken("setup", describe(site.error()));
  const std::uint64_t before = code.prober().hits(*site);
  const Status inserted = first_error(code.prober().insert({{*site}}));
  const bool right = run_times(code.text().start());
  const std::uint64_t hits = code.prober().hits(*site) - before;
  if (!right || hits != (inserted ? kCalls : 0))
    return broken("replaced", fmt::format("the other code, {}: {}, {} hits",
                                          inserted ? "probed" : "refused (" + inserted.error().message + ")",
                                          right ? "right" : "wrong", hits));
  if (inserted)
    (void)code.prober().remove({{*site}});
  Page now{};
  read_memory(code.text().start(), now);
  if (now != other)
    return broken("replaced", "a probe on the other code left it changed");
  return held(inserted ? "probed anew" : "not probed anew: " + inserted.error().message);
}

// One of the two for all of a batch.
bool all_removed(const SiteResults& results, ErrorKind otherwise) {
  const auto failed = [&](const Status& r) { return !r && r.error().kind == otherwise; };
  return std::ranges::all_of(results, &Status::has_value) || std::ranges::all_of(results, failed);
}

// Over what is mapped there.
bool put_in_place(void* page, const Page& other) {
  auto text = Text::of_bytes(other);
  return text && ::mremap(bytes_at(text->start()), kPageBytes, kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                          page) == page;
}

// Other code where the probed code was: its bytes are its own, and it is not counted.
Verdict replaced_by(ProbedCode& code, void* page, const Page& other) {
  if (!put_in_place(page, other))
    return broken("setup", "mremap over the probed page");
  if (!run_times(code.text().start()))
    return broken("replaced", "other code where the probed code was does not run right while armed");
  const SiteResults removed = code.prober().remove(code.sites());
  const SiteResults again = code.prober().remove(code.sites());
  if (!all_removed(removed, ErrorKind::StaleSite) || again[0] || !all_removed(again, ErrorKind::NotArmed))
    return broken("replaced", "what is gone was not removed, or is still taken for armed");
  Page now{};
  read_memory(code.text().start(), now);
  if (now != other)
    return broken("replaced",
                  fmt::format("removal wrote into the code that took the place: {:02x} {:02x} {:02x} {:02x}",
                              now[0], now[1], now[2], now[3]));
  if (!run_times(code.text().start()))
    return broken("replaced", "other code where the probed code was does not run right after removal");
  if (code.hits(0) != kCalls)
    return broken("replaced", fmt::format("the stale site counted the other code: {} hits", code.hits(0)));
  const Verdict v = probed_anew(code, other);
  if (!v.is(Ending::Held))
    return v;
  const Status closed = code.prober().close();
  return closed ? v : broken("replaced", "close: " + describe(closed.error()));
}

Verdict replaced(ProbedCode& code, void* page) {
  return replaced_by(code, page, other_page(kNop));
}

// The other code has an int3 of its own where the second site was.
Verdict replaced_by_int3(ProbedCode& code, void* page) {
  return replaced_by(code, page, other_page(kInt3));
}

// Without a removal first.
Verdict closed_over(ProbedCode& code, void* page) {
  const Page other = other_page(kNop);
  if (!put_in_place(page, other))
    return broken("setup", "mremap over the probed page");
  if (const Status closed = code.prober().close(); !closed)
    return broken("replaced", "close: " + describe(closed.error()));
  Page now{};
  read_memory(code.text().start(), now);
  return now == other && run_times(code.text().start())
             ? held()
             : broken("replaced", "close wrote into the other code");
}

Verdict moved_away(ProbedCode& code, void* page) {
  void* const moved = ::mremap(page, kPageBytes, kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                               ::mmap(nullptr, kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (moved == MAP_FAILED)
    return broken("setup", "mremap");
  if (!run_times(address_of(moved)))
    return broken("mremap", "wrong result where the page was moved to");
  (void)code.remove_all();
  return run_times(address_of(moved)) ? held() : broken("mremap", "wrong result there after removal");
}

Verdict library_closed(const Json& parameters) {
  void* const library = ::dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return held("no libz to close");
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  const auto site = target.site_at(address_of(::dlsym(library, "adler32")));
  if (!site)
    return verdict_of(site.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  if (const Status inserted = first_error((*prober)->insert({{*site}})); !inserted)
    return verdict_of(inserted.error());
  ::dlclose(library);
  (void)(*prober)->remove({{*site}});
  const Status closed = (*prober)->close();
  return closed ? held() : broken("dlclose", "close: " + describe(closed.error()));
}

Verdict unmapping_safe(const Json& parameters, Arena&) {
  for (const auto change : {&protected_otherwise, &unmapped, &replaced, &moved_away})
    if (const Verdict v = armed_then(parameters, change); !v.is(Ending::Held))
      return v;
  return library_closed(parameters);
}

// One of them, by name.
Verdict text_changed(const Json& parameters, Arena&) {
  static const std::map<std::string, Verdict (*)(ProbedCode&, void*)> kChanges{
      {"other-code", &replaced},        {"int3", &replaced_by_int3}, {"other-code-then-close", &closed_over},
      {"unreadable", &made_unreadable}, {"unmapped", &unmapped},
  };
  return armed_then(parameters, kChanges.at(parameters.at("change")));
}

const bool unmapping_promise_registered = register_experiment("promise/unmapping-safe", &unmapping_safe) &&
                                          register_experiment("text-changed", &text_changed);

} // namespace

} // namespace proberace
