#include "stress/code/probed_text.h"

namespace proberace {

TextMemory text_memory_for(const Prober& prober) {
  return prober.promises().has(Promise::FileBackedText) ? TextMemory::PrivateFile : TextMemory::SharedMemory;
}

std::expected<std::vector<Site>, Error> open_with_sites(Prober& prober, const Target& target,
                                                        std::span<const Address> addresses) {
  std::vector<Site> sites;
  const AddressSpace space = target.address_space();
  for (const Address address : addresses) {
    const auto site = target.site_at(space, address);
    if (!site)
      return std::unexpected(site.error());
    sites.push_back(*site);
  }
  if (const Status opened = prober.open(target); !opened)
    return std::unexpected(opened.error());
  return sites;
}

std::expected<std::unique_ptr<ProbedText>, Error> ProbedText::open(const std::string& strategy,
                                                                   std::span<const Placement> placements) {
  auto prober = make_prober(strategy);
  if (!prober)
    return std::unexpected(prober.error());
  auto text = Text::make(placements, text_memory_for(**prober));
  if (!text)
    return std::unexpected(text.error());
  std::unique_ptr<ProbedText> self(new ProbedText(std::move(*text)));
  self->text_.declare(self->target_);
  std::vector<Address> addresses;
  for (const PlacedBody& body : self->text_.bodies())
    addresses.push_back(body.site);
  self->prober_ = std::move(*prober);
  auto sites = open_with_sites(*self->prober_, self->target_, addresses);
  if (!sites)
    return std::unexpected(sites.error());
  self->sites_ = std::move(*sites);
  return self;
}

Status first_error(const SiteResults& results) {
  for (const Status& result : results)
    if (!result)
      return result;
  return {};
}

Status ProbedText::insert_all() {
  return first_error(prober_->insert(sites_));
}

Status ProbedText::remove_all() {
  return first_error(prober_->remove(sites_));
}

bool ProbedText::execute(std::size_t i, Mailbox& mailbox) const noexcept {
  const std::uint64_t ticket = mailbox.ticket + 1;
  mailbox.ticket = ticket;
  return proberace_call_body(bytes_at(text_.bodies()[i].entry), ticket, ticket, &mailbox) ==
         expected_result(ticket);
}

bool ProbedText::execute_lightly(std::size_t i, Mailbox& mailbox) const noexcept {
  const std::uint64_t ticket = mailbox.ticket + 1;
  mailbox.ticket = ticket;
  return proberace_call_body_lightly(bytes_at(text_.bodies()[i].entry), ticket, ticket, &mailbox) ==
         expected_result(ticket);
}

Verdict broken(std::string property, std::string summary) {
  Verdict v;
  v.ending = Ending::Broken;
  v.property = std::move(property);
  v.summary = std::move(summary);
  return v;
}

Verdict with_probes(const Json& parameters, std::initializer_list<const char*> bodies,
                    Verdict (*check)(ProbedText& probed), bool armed) {
  std::vector<Placement> placements;
  for (const char* body : bodies)
    placements.push_back({body_named(body), 0});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  if (armed)
    if (const Status inserted = (*probed)->insert_all(); !inserted)
      return verdict_of(inserted.error());
  return check(**probed);
}

} // namespace proberace
