#include "harness/trap/site_table.h"

namespace proberace {

SiteRecord* SiteTable::add(Displaced displaced) {
  if (records_.size() == kCapacity)
    return nullptr;
  const Address a = displaced.site.address;
  SiteRecord& record =
      records_.emplace_back(std::move(displaced), static_cast<std::uint32_t>(records_.size()));
  (void)by_address_.add(a, &record); // as many addresses at the most as records
  return &record;
}

} // namespace proberace
