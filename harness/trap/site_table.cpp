#include "harness/trap/site_table.h"

namespace proberace {

SiteRecord* SiteTable::add(Displaced displaced) {
  if (records_.size() == kCapacity)
    return nullptr;
  const Address a = displaced.site.address;
  SiteRecord& record =
      records_.emplace_back(std::move(displaced), static_cast<std::uint32_t>(records_.size()));
  // It cannot be full: there are at most as many addresses as records.
  (void)by_address_.add(a, &record);
  return &record;
}

} // namespace proberace
