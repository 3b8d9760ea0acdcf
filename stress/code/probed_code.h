// Code of an experiment's own, written in assembly beside it, copied to a text and probed; and what faults on
// purpose.
#pragma once

#include "stress/code/probed_text.h"

#include <csignal>
#include <ucontext.h>

namespace proberace {

// Position-independent code. `sites` ends with a null.
struct Snippet {
  const std::uint8_t* begin;
  const std::uint8_t* end;
  const std::uint8_t* const* sites;
};

// Defines kName, a Snippet of the assembly; SITE stands before each instruction to probe. At namespace scope.
#define PROBERACE_SNIPPET(Name, assembly)                                                                    \
  asm("        .macro  SITE\n"                                                                               \
      "77:     .pushsection .data.rel.ro.proberace_snippets, \"aw\", @progbits\n"                            \
      "        .quad   77b\n"                                                                                \
      "        .popsection\n"                                                                                \
      "        .endm\n"                                                                                      \
      "        .pushsection .data.rel.ro.proberace_snippets, \"aw\", @progbits\n"                            \
      "        .p2align 3\n"                                                                                 \
      "proberace_snippet_sites_" #Name ":\n"                                                                 \
      "        .popsection\n"                                                                                \
      "        .pushsection .text.proberace_snippets, \"ax\", @progbits\n"                                   \
      "        .p2align 5\n"                                                                                 \
      "proberace_snippet_begin_" #Name ":\n" assembly "\n"                                                   \
      "proberace_snippet_end_" #Name ":\n"                                                                   \
      "        .popsection\n"                                                                                \
      "        .pushsection .data.rel.ro.proberace_snippets, \"aw\", @progbits\n"                            \
      "        .quad   0\n"                                                                                  \
      "        .popsection\n"                                                                                \
      "        .purgem SITE\n");                                                                             \
  extern "C" {                                                                                               \
  [[gnu::visibility("hidden")]] extern const std::uint8_t proberace_snippet_begin_##Name[];                  \
  [[gnu::visibility("hidden")]] extern const std::uint8_t proberace_snippet_end_##Name[];                    \
  [[gnu::visibility("hidden")]] extern const std::uint8_t* const proberace_snippet_sites_##Name[];           \
  }                                                                                                          \
  const Snippet k##Name {                                                                                    \
    proberace_snippet_begin_##Name, proberace_snippet_end_##Name, proberace_snippet_sites_##Name             \
  }

class ProbedCode {
public:
  // Opens the strategy on a text of the snippets, one function each, 64 bytes apart at least, on one page.
  static std::expected<std::unique_ptr<ProbedCode>, Error> open(const std::string& strategy,
                                                                std::initializer_list<Snippet> snippets);

  // The same with one function of these bytes, and sites at these offsets.
  static std::expected<std::unique_ptr<ProbedCode>, Error>
  open_bytes(const std::string& strategy, std::span<const std::uint8_t> code,
             std::initializer_list<std::ptrdiff_t> sites);

  // The same with the strategy named in the parameters, every site armed.
  static std::expected<std::unique_ptr<ProbedCode>, Error> armed(const Json& parameters,
                                                                 std::initializer_list<Snippet> snippets);

  Prober& prober() noexcept { return *prober_; }
  const Target& target() const noexcept { return target_; }
  const Text& text() const noexcept { return text_; }
  // In the order of the snippets, then of their SITEs.
  const std::vector<Site>& sites() const noexcept { return sites_; }
  const Site& site(std::size_t i) const { return sites_.at(i); }
  std::uint64_t hits(std::size_t i) const { return prober_->hits(sites_.at(i)); }
  Status insert_all() { return first_error(prober_->insert(sites_)); }
  Status remove_all() { return first_error(prober_->remove(sites_)); }

  // The copy of snippet i.
  Address entry(std::size_t i = 0) const { return entries_.at(i); }
  template <typename Function> Function* function(std::size_t i = 0) const {
    return reinterpret_cast<Function*>(bytes_at(entries_.at(i)));
  }
  bool holds(Address a) const noexcept {
    return text_.start() <= a && a < text_.start() + static_cast<std::ptrdiff_t>(text_.bytes());
  }

private:
  explicit ProbedCode(Text text) : text_(std::move(text)) {}
  static std::expected<std::unique_ptr<ProbedCode>, Error> open_sites(std::unique_ptr<ProbedCode> self,
                                                                      std::unique_ptr<Prober> prober,
                                                                      std::span<const Address> addresses);

  Text text_;
  Target target_;
  std::vector<Address> entries_;
  std::vector<Site> sites_;
  std::unique_ptr<Prober> prober_; // before the text goes
};

// Sites of seven bytes, so that strategies that need room can take them.
// `std::uint64_t(const std::uint64_t* from)`: one load, probed.
extern const Snippet kLoad;
// `std::uint64_t(std::uint64_t input)`: input + 1, by a probed instruction.
extern const Snippet kIncrement;

using Load = std::uint64_t(const std::uint64_t*);
using Increment = std::uint64_t(std::uint64_t);

// A page that faults until it is opened, then holds `word` at its start.
class GuardedPage {
public:
  explicit GuardedPage(std::uint64_t word);
  ~GuardedPage();
  GuardedPage(const GuardedPage&) = delete;
  GuardedPage& operator=(const GuardedPage&) = delete;
  const std::uint64_t* address() const noexcept { return word_; }
  void open() const noexcept; // signal-safe
  void shut() const noexcept; // signal-safe

private:
  std::uint64_t* word_;
};

// libc's sigaction, with SA_SIGINFO and these flags.
void on_signal(int signo, void (*handler)(int, siginfo_t*, void*), int flags = 0);

inline Address interrupted_pc(const void* context) noexcept {
  return Address{
      static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP])};
}

// True if removals of the cell's strategy are slow: fewer rounds, then.
inline bool removes_slowly(const Json& parameters) {
  return facts_of(parameters.at("strategy")).removal == Removal::Slow;
}

// Skipped, for experiments that need a hit handler where hits never reach user space.
Verdict needs_handler(const Error& error);

} // namespace proberace
