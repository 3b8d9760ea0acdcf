// One call of insert or remove on its way through a prober.
//
// Idea: a prober looks at each site of the call first. Those that it accepts then take the expensive steps
// together: writing code, serialising the cores, waiting for quiescence. A Batch keeps what belongs to one
// accepted site side by side: the Write, which goes to the armer, all writes in one span; and the Item, which
// holds what the prober itself knows of the site. Each step may still refuse a site.
//
//   Batch<ByteWrite, SiteRecord*> batch(sites.size());
//   for (const Site& site : sites)                            // in the order of the call, each site once:
//     if (...)
//       batch.accept({site.address, byte}, record);
//     else
//       batch.refuse(refuse::already_armed(site.address));
//   armer->arm(space, batch.writes());
//   for (const auto& site : batch.accepted())
//     if (site.write.error)
//       site.refuse(*site.write.error);
//   return batch.results();
#pragma once

#include "harness/probe/prober.h"

#include <ranges>
#include <utility>
#include <variant>

namespace proberace {

template <typename Write, typename Item = std::monostate> class Batch {
public:
  // `sites`: how many the call names.
  explicit Batch(std::size_t sites) {
    results_.reserve(sites);
    writes_.reserve(sites);
    items_.reserve(sites);
    places_.reserve(sites);
  }

  // The next site of the call takes the steps that follow.
  void accept(Write write, Item item = {}) {
    places_.push_back(results_.size());
    writes_.push_back(std::move(write));
    items_.push_back(std::move(item));
    results_.emplace_back();
  }
  // The next site of the call takes no further step.
  void refuse(std::unexpected<Error> why) { results_.emplace_back(std::move(why)); }
  // The same, but all that was asked is done.
  void done() { results_.emplace_back(); }

  // True if no site was accepted.
  bool empty() const noexcept { return writes_.empty(); }
  // Of every site that was accepted, also if it was refused since.
  std::span<Write> writes() noexcept { return writes_; }

  struct Accepted {
    Write& write;
    Item& item;
    Status& result;

    void refuse(Error why) const { result = std::unexpected(std::move(why)); }
    void refuse(std::unexpected<Error> why) const { result = std::move(why); }
  };
  // The sites that were accepted and not refused since. The loop's body may refuse the one it is at.
  auto accepted() noexcept {
    return std::views::iota(std::size_t{0}, places_.size()) |
           std::views::filter([this](std::size_t n) { return results_[places_[n]].has_value(); }) |
           std::views::transform([this](std::size_t n) {
             return Accepted{writes_[n], items_[n], results_[places_[n]]};
           });
  }

  // Precondition: each site of the call was accepted, refused or done. Ends the batch.
  SiteResults results() { return std::move(results_); }

private:
  SiteResults results_;             // by place in the call
  std::vector<std::size_t> places_; // of the accepted ones
  std::vector<Write> writes_;       // by the same index
  std::vector<Item> items_;         // by the same index
};

} // namespace proberace
