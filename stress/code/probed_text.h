// The parts that most experiments need: a text, a target that knows it, an open prober.
#pragma once

#include "harness/cell/experiment.h"
#include "harness/code/target.h"
#include "harness/probe/registry.h"
#include "stress/code/mailbox.h"
#include "stress/code/text.h"

#include <memory>

namespace proberace {

// The memory a strategy's text must lie in: a library's, unless it does not promise to work there.
TextMemory text_memory_for(const Prober& prober);

// Opens the prober on the target and makes a site of each address.
std::expected<std::vector<Site>, Error> open_with_sites(Prober& prober, const Target& target,
                                                        std::span<const Address> addresses);

class ProbedText {
public:
  // Opens the strategy on a text of the bodies, each with one site.
  static std::expected<std::unique_ptr<ProbedText>, Error> open(const std::string& strategy,
                                                                std::span<const Placement> placements);

  Prober& prober() noexcept { return *prober_; }
  Target& target() noexcept { return target_; }
  const Text& text() const noexcept { return text_; }
  const Site& site(std::size_t i) const { return sites_.at(i); }
  const std::vector<Site>& sites() const noexcept { return sites_; }

  // Inserts every site. The first error, if any was refused.
  Status insert_all();
  Status remove_all();
  // Executes body i once on this thread; false if its result is wrong.
  bool execute(std::size_t i, Mailbox& mailbox) const noexcept;
  bool execute(std::size_t i) const noexcept {
    Mailbox mailbox;
    return execute(i, mailbox);
  }
  // The same, as cheaply as a program calls a function: the result is checked, the registers are not.
  bool execute_lightly(std::size_t i, Mailbox& mailbox) const noexcept;

private:
  explicit ProbedText(Text text) : text_(std::move(text)) {}

  Text text_;
  Target target_;
  std::vector<Site> sites_;
  std::unique_ptr<Prober> prober_; // before the text goes
};

Status first_error(const SiteResults& results);

inline Verdict held(std::string summary = "held") {
  Verdict v;
  v.summary = std::move(summary);
  return v;
}
Verdict broken(std::string property, std::string summary);

// Opens the strategy named in the parameters on the bodies, arms them if told so, runs the check.
Verdict with_probes(const Json& parameters, std::initializer_list<const char*> bodies,
                    Verdict (*check)(ProbedText& probed), bool armed = true);

} // namespace proberace
