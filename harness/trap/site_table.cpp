#include "harness/trap/site_table.h"

namespace proberace {

SiteTable::SiteTable() : entries_(std::make_unique<Entry[]>(kBuckets)) {}

SiteRecord* SiteTable::add(Displaced displaced) {
  if (records_.size() == kCapacity)
    return nullptr;
  const Address a = displaced.site.address;
  SiteRecord& record =
      records_.emplace_back(std::move(displaced), static_cast<std::uint32_t>(records_.size()));
  std::size_t i = bucket(a);
  for (;; i = (i + 1) & kMask) {
    const Address key{entries_[i].key.load(std::memory_order_relaxed)}; // the controller is the only writer
    if (key == a || key == Address{})
      break;
  }
  entries_[i].record.store(&record, std::memory_order_release); // pairs with find: the record is complete
  entries_[i].key.store(value(a), std::memory_order_release);   // pairs with find: the record is there
  return &record;
}

} // namespace proberace
