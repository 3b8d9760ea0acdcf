#include "stress/properties/probed_code.h"

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
  std::size_t i = 0;
  for (const Snippet& s : snippets) {
    const Address entry = self->text_.start() + static_cast<std::ptrdiff_t>(offsets[i++]);
    self->entries_.push_back(entry);
    self->target_.add_function(entry, static_cast<std::size_t>(s.end - s.begin), "snippet");
    for (const std::uint8_t* const* at = s.sites; *at != nullptr; ++at) {
      const auto site = self->target_.site_at(entry + (*at - s.begin));
      if (!site)
        return std::unexpected(site.error());
      self->sites_.push_back(*site);
    }
  }
  self->prober_ = std::move(*prober);
  if (const Status opened = self->prober_->open(self->target_); !opened)
    return std::unexpected(opened.error());
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
