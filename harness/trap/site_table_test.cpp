#include "harness/trap/site_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <set>
#include <thread>

namespace proberace {

namespace {
Displaced displaced_at(Address a) {
  Displaced d;
  d.site.address = a;
  return d;
}
} // namespace

RC_GTEST_PROP(SiteTable, FindsExactlyWhatWasAdded,
              (const std::set<std::uint16_t>& added, const std::set<std::uint16_t>& asked)) {
  SiteTable table;
  for (const std::uint16_t a : added)
    table.add(displaced_at(Address{a + 1U}));
  for (const std::uint16_t a : asked) {
    const SiteRecord* found = table.find(Address{a + 1U});
    RC_ASSERT((found != nullptr) == (added.count(a) == 1));
    if (found != nullptr)
      RC_ASSERT(found->displaced().site.address == Address{a + 1U});
  }
}

TEST(SiteTable, ANewRecordIsDeadAndEachChangeIsSeen) {
  SiteTable table;
  SiteRecord* record = table.add(displaced_at(Address{0x1000}));
  EXPECT_FALSE(record->live());
  const std::uint64_t dead = record->state();
  record->set_live(true);
  EXPECT_TRUE(record->live());
  record->set_live(true); // no change
  record->set_live(false);
  EXPECT_FALSE(record->live());
  EXPECT_EQ(record->state(), dead + 2) << "an observer must notice that it was live in between";
}

TEST(SiteTable, ALaterRecordReplacesAnEarlierWhichStaysValid) {
  SiteTable table;
  const SiteRecord* first = table.add(displaced_at(Address{0x1000}));
  const SiteRecord* second = table.add(displaced_at(Address{0x1000}));
  EXPECT_EQ(table.find(Address{0x1000}), second);
  EXPECT_EQ(first->displaced().site.address, Address{0x1000});
  EXPECT_NE(first->index(), second->index());
}

TEST(SiteTable, IsFullInWords) {
  SiteTable table;
  for (std::size_t i = 0; i < SiteTable::kCapacity; ++i)
    ASSERT_NE(table.add(displaced_at(Address{0x1000 + i})), nullptr);
  EXPECT_EQ(table.add(displaced_at(Address{1})), nullptr);
  EXPECT_NE(table.find(Address{0x1000 + SiteTable::kCapacity - 1}), nullptr);
}

// Readers without locks while the table fills. Under ThreadSanitizer this fails if a record is published
// before it is complete; anywhere, if an entry's key is published before its record.
TEST(SiteTable, H36_ReadersNeverSeeAHalfMadeRecord) {
  SiteTable table;
  constexpr std::uintptr_t kSites = 50'000;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r)
    readers.emplace_back([&] {
      std::uintptr_t at = 1;
      while (!stop.load(std::memory_order_relaxed)) {
        const SiteRecord* found = table.find(Address{at});
        if (found != nullptr && found->displaced().site.address != Address{at})
          wrong.fetch_add(1);
        at = at % kSites + 1;
      }
    });
  for (std::uintptr_t a = 1; a <= kSites; ++a)
    table.add(displaced_at(Address{a}))->set_live(true);
  stop.store(true);
  for (std::thread& t : readers)
    t.join();
  EXPECT_EQ(wrong.load(), 0);
  for (std::uintptr_t a = 1; a <= kSites; ++a)
    ASSERT_TRUE(table.find(Address{a})->live());
}

} // namespace proberace
