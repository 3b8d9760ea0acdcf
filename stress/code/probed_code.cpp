#include "stress/code/probed_code.h"

#include <sys/mman.h>

namespace proberace {

PROBERACE_SNIPPET(Load, R"(
        SITE
        {disp32} movq 0(%rdi), %rax
        ret
)");
PROBERACE_SNIPPET(Increment, R"(
        SITE
        {disp32} leaq 1(%rdi), %rax
        ret
)");

std::expected<std::unique_ptr<ProbedCode>, Error> ProbedCode::open(const std::string& strategy,
                                                                   std::initializer_list<Snippet> snippets) {
  constexpr std::size_t kSpacing = 64;
  std::vector<std::uint8_t> code;
  std::vector<std::size_t> offsets;
  for (const Snippet& s : snippets) {
    offsets.push_back(code.size());
    code.insert(code.end(), s.begin, s.end);
    code.resize((code.size() + kSpacing - 1) & ~(kSpacing - 1), kInt3); // a stray jump stops at once
  }
  auto prober = make_prober(strategy);
  if (!prober)
    return std::unexpected(prober.error());
  auto text = Text::of_bytes(code, text_memory_for(**prober));
  if (!text)
    return std::unexpected(text.error());
  std::unique_ptr<ProbedCode> self(new ProbedCode(std::move(*text)));
  std::vector<Address> addresses;
  std::size_t i = 0;
  for (const Snippet& s : snippets) {
    const Address entry = self->text_.start() + static_cast<std::ptrdiff_t>(offsets[i++]);
    self->entries_.push_back(entry);
    self->target_.add_function(entry, static_cast<std::size_t>(s.end - s.begin), "snippet");
    for (const std::uint8_t* const* at = s.sites; *at != nullptr; ++at)
      addresses.push_back(entry + (*at - s.begin));
  }
  return open_sites(std::move(self), std::move(*prober), addresses);
}

std::expected<std::unique_ptr<ProbedCode>, Error>
ProbedCode::open_bytes(const std::string& strategy, std::span<const std::uint8_t> code,
                       std::initializer_list<std::ptrdiff_t> sites) {
  auto prober = make_prober(strategy);
  if (!prober)
    return std::unexpected(prober.error());
  auto text = Text::of_bytes(code, text_memory_for(**prober));
  if (!text)
    return std::unexpected(text.error());
  std::unique_ptr<ProbedCode> self(new ProbedCode(std::move(*text)));
  const Address entry = self->text_.start();
  self->entries_.push_back(entry);
  self->target_.add_function(entry, code.size(), "code");
  std::vector<Address> addresses;
  for (const std::ptrdiff_t offset : sites)
    addresses.push_back(entry + offset);
  return open_sites(std::move(self), std::move(*prober), addresses);
}

std::expected<std::unique_ptr<ProbedCode>, Error> ProbedCode::open_sites(std::unique_ptr<ProbedCode> self,
                                                                         std::unique_ptr<Prober> prober,
                                                                         std::span<const Address> addresses) {
  self->prober_ = std::move(prober);
  auto sites = open_with_sites(*self->prober_, self->target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  self->sites_ = std::move(*sites);
  return self;
}

std::expected<std::unique_ptr<ProbedCode>, Error> ProbedCode::armed(const Json& parameters,
                                                                    std::initializer_list<Snippet> snippets) {
  auto code = open(parameters.at("strategy"), snippets);
  if (code)
    if (const Status inserted = (*code)->insert_all(); !inserted)
      return std::unexpected(inserted.error());
  return code;
}

GuardedPage::GuardedPage(std::uint64_t word)
    : word_(static_cast<std::uint64_t*>(
          ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
  *word_ = word;
  shut();
}
GuardedPage::~GuardedPage() {
  ::munmap(word_, kPageBytes);
}
void GuardedPage::open() const noexcept {
  ::mprotect(word_, kPageBytes, PROT_READ | PROT_WRITE);
}
void GuardedPage::shut() const noexcept {
  ::mprotect(word_, kPageBytes, PROT_NONE);
}

void on_signal(int signo, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  ::sigaction(signo, &action, nullptr);
}

Verdict needs_handler(const Error& error) {
  Verdict v = verdict_of(error);
  v.ending = Ending::Skipped;
  return v;
}

} // namespace proberace
