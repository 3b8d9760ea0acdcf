// pte-swap: copy the page, modify the copy, move it over the original; the kernel swaps the page-table entry
// and flushes the TLBs. Linus: "you _could_ do the modification on a different physical page and then just
// switch the page table entry instead, and not get into the whole D$/I$ coherency thing at all."
//
// Idea: no byte of a page that is mapped for execution ever changes. The original page is stashed by
// mremap(MREMAP_DONTUNMAP), which leaves its mapping in place, so that a thread that faults in the gap gets
// the file's page (H06); the copy is moved over it. After the last probe of the page the stash is moved back,
// and the mapping is one again: mapping the reopened file instead would leave it in three pieces (H67).
// Trade-off: two mappings more per page with a probe, and only clean pages of private file mappings: in the
// gap a private page (relocations, another tool's patch) would briefly show the file's bytes (H63).
//
// The copy is mapped readable and executable and filled through /proc/self/mem: never writable and
// executable.
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/probe/registry.h"
#include "strategies/arm/page_state.h"

#include <array>
#include <cerrno>
#include <map>
#include <sys/mman.h>

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::uint64_t kPage = kPageBytes;

struct SwappedPage {
  Address stash{};                             // the original page, elsewhere
  std::map<std::size_t, std::uint8_t> armed{}; // offset in the page -> byte in the copy
};

Error mapping_error(std::string_view what, int error_number, Address at) {
  if (error_number == ENOMEM)
    return Error{ErrorKind::MappingLimit, at,
                 fmt::format("{}: out of memory, or vm.max_map_count is reached", what)};
  if (error_number == EPERM)
    return Error{ErrorKind::MemoryUnsupported, at, fmt::format("{}: the mapping is sealed (mseal)", what)};
  return system_error(what, error_number, at);
}

class PteSwap final : public Armer {
public:
  std::string_view name() const noexcept override { return "pte-swap"; }
  Promises promises() const noexcept override { return Promises::all_but({Promise::NoAddedMapping}); }

  Status open(TargetCode&) override { return {}; }

  void arm(const AddressSpace& space, std::span<ByteWrite> batch) override {
    for_each_page(batch, [&](Address page, std::span<ByteWrite*> writes) {
      const auto known = pages_.find(page);
      SwappedPage next = known != pages_.end() ? known->second : SwappedPage{};
      for (const ByteWrite* write : writes)
        next.armed[offset_in_page(write->address)] = kInt3;
      const Status done = known != pages_.end() ? replace(page, next) : swap_in(space, page, next);
      settle(page, std::move(next), writes, done);
    });
  }

  void disarm(std::span<ByteWrite> batch) override {
    for_each_page(batch, [&](Address page, std::span<ByteWrite*> writes) {
      SwappedPage next = pages_.at(page);
      for (const ByteWrite* write : writes)
        next.armed.erase(offset_in_page(write->address));
      const Status done = next.armed.empty() ? swap_back(page, next) : replace(page, next);
      settle(page, std::move(next), writes, done);
    });
  }

  Footprint footprint() const override {
    Footprint f;
    f.mappings = static_cast<std::int64_t>(2 * pages_.size()); // the copy and the stash
    f.mapped_bytes = f.mappings * static_cast<std::int64_t>(kPage);
    f.private_pages = static_cast<std::int64_t>(pages_.size());
    return f;
  }

private:
  // One copy and one swap per page, however many of its sites the batch names; then one serialisation for
  // all.
  template <typename F> static void for_each_page(std::span<ByteWrite> batch, F&& f) {
    std::map<Address, std::vector<ByteWrite*>> pages;
    for (ByteWrite& write : batch)
      pages[page_of(write.address)].push_back(&write);
    for (auto& [page, writes] : pages)
      f(page, std::span(writes));
    serialise_cores(); // a core may still execute what it fetched before: no interrupt need have reached it
                       // (H02)
  }

  void settle(Address page, SwappedPage next, std::span<ByteWrite*> writes, const Status& done) {
    if (!done) {
      for (ByteWrite* write : writes)
        write->error = Error{done.error().kind, write->address, done.error().message};
    } else if (next.armed.empty()) {
      pages_.erase(page);
    } else {
      pages_[page] = std::move(next);
    }
  }

  // A page of its own with the original's bytes and the armed ones. `original` is readable memory.
  static std::expected<void*, Error> make_copy(Address original, Address page, const SwappedPage& content) {
    std::array<std::uint8_t, kPage> bytes;
    if (!read_memory(original, bytes))
      return std::unexpected(Error{ErrorKind::MemoryUnsupported, page, "the page cannot be read"});
    for (const auto& [offset, byte] : content.armed)
      bytes[offset] = byte;
    void* const copy = ::mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
      return std::unexpected(mapping_error("cannot map a copy of the page", errno, page));
    if (const int error = write_code(address_of(copy), bytes); error != 0) {
      ::munmap(copy, kPage);
      return std::unexpected(
          system_error("cannot fill a copy of the page through /proc/self/mem", error, page));
    }
    return copy;
  }

  // mremap(2) onto an address in use replaces what is there in one step under the mapping lock.
  static Status move_over(void* from, Address page) {
    if (::mremap(from, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, bytes_at(page)) != MAP_FAILED)
      return {};
    return std::unexpected(mapping_error("cannot move a page over the site's", errno, page));
  }

  static Status swap_in(const AddressSpace& space, Address page, SwappedPage& next) {
    if (const Status fit = clean_private_file_page(space, page); !fit)
      return fit;
    const auto copy = make_copy(page, page, next);
    if (!copy)
      return std::unexpected(copy.error());
    void* const stash = ::mremap(bytes_at(page), kPage, kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
    if (stash == MAP_FAILED) {
      const Error error = mapping_error("cannot stash the original page", errno, page);
      ::munmap(*copy, kPage);
      return std::unexpected(error);
    }
    next.stash = address_of(stash);
    if (const Status moved = move_over(*copy, page); !moved) {
      ::munmap(*copy, kPage); // the mapping at the site is still the file's
      ::munmap(stash, kPage);
      return moved;
    }
    return {};
  }

  static Status replace(Address page, const SwappedPage& next) {
    const auto copy = make_copy(next.stash, page, next);
    if (!copy)
      return std::unexpected(copy.error());
    const Status moved = move_over(*copy, page);
    if (!moved)
      ::munmap(*copy, kPage);
    return moved;
  }

  static Status swap_back(Address page, const SwappedPage& last) {
    return move_over(bytes_at(last.stash), page);
  }

  std::map<Address, SwappedPage> pages_;
};

const bool registered =
    register_armer("pte-swap", "move a modified copy over the page, the original back at the end",
                   [] { return std::make_unique<PteSwap>(); });

} // namespace

} // namespace proberace
