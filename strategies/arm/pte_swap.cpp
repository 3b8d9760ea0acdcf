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
// How the copy gets there has two variants. `pte-swap/mremap`: an anonymous page, filled through
// /proc/self/mem, is moved over the site's with mremap(2). `pte-swap/memfd`: the copy is a page of a memfd,
// mapped over the site's with MAP_FIXED; each swap takes a fresh page of the file, because a forked child may
// still show the one before (H27), so the file grows until close. Neither is ever writable and executable. A
// change that another tool makes to the page while it is swapped is lost with the copy. If the program has
// unmapped or replaced the copy (H15), the copy and its stash are given up at the page's next operation.
// Other code in its place is told from it by the mapping and by the sites' int3s: `mremap` takes anonymous
// memory with an int3 where the site was for its own.
#include "harness/base/failure.h"
#include "harness/base/membarrier.h"
#include "harness/base/process_memory.h"
#include "harness/code/target.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "strategies/arm/page_state.h"

#include <array>
#include <bitset>
#include <cerrno>
#include <map>
#include <optional>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace proberace {

namespace {

constexpr std::uint64_t kPage = kPageBytes;

struct SwappedPage {
  Address stash{};            // the original page, elsewhere
  std::bitset<kPage> armed{}; // bytes of the copy that are kInt3
};

Error mapping_error(std::string_view what, int error_number, Address at) {
  if (error_number == ENOMEM)
    return Error{ErrorKind::MappingLimit, at,
                 fmt::format("{}: out of memory, or vm.max_map_count is reached", what)};
  if (error_number == EPERM)
    return Error{ErrorKind::MemoryUnsupported, at, fmt::format("{}: the mapping is sealed (mseal)", what)};
  return system_error(what, error_number, at);
}

using PageBytes = std::array<std::uint8_t, kPage>;

// mremap(2) onto an address in use replaces what is there in one step under the mapping lock.
Status move_over(void* from, Address page) {
  if (::mremap(from, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, bytes_at(page)) != MAP_FAILED)
    return {};
  return std::unexpected(mapping_error("cannot move a page over the site's", errno, page));
}

// Puts a page with the given content over `page`, in one step for every thread that executes it.
class MovedPages {
public:
  static Status open() { return {}; }
  static void close() {}
  static Status put(Address page, const PageBytes& content) {
    void* const copy = ::mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
      return std::unexpected(mapping_error("cannot map a copy of the page", errno, page));
    Status moved{};
    if (const int error = write_code(address_of(copy), content); error != 0)
      moved =
          std::unexpected(system_error("cannot fill a copy of the page through /proc/self/mem", error, page));
    else
      moved = move_over(copy, page);
    if (!moved)
      ::munmap(copy, kPage);
    return moved;
  }
  // True if what is mapped here may be a copy.
  static bool looks_put(const Mapping& m) { return !m.file_backed(); }
  static Footprint footprint() { return {}; }
};

class MemfdPages {
public:
  ~MemfdPages() { close(); }
  Status open() {
    file_ = ::memfd_create(kReplacementFile, MFD_CLOEXEC);
    return file_ >= 0 ? Status{} : std::unexpected(system_error("memfd_create", errno));
  }
  bool looks_put(const Mapping& m) const {
    struct stat file {};
    return ::fstat(file_, &file) == 0 && m.inode == file.st_ino && m.path.starts_with("/memfd:");
  }
  void close() {
    if (file_ >= 0)
      ::close(file_);
    file_ = -1;
    end_ = 0;
  }
  Status put(Address page, const PageBytes& content) {
    const off_t fresh = end_;
    if (::pwrite(file_, content.data(), content.size(), fresh) != static_cast<ssize_t>(content.size()))
      return std::unexpected(system_error("cannot write a copy of the page to a memfd", errno, page));
    end_ += static_cast<off_t>(kPage);
    void* const at =
        ::mmap(bytes_at(page), kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file_, fresh);
    if (at == MAP_FAILED)
      return std::unexpected(mapping_error("cannot map a copy over the page", errno, page));
    return {};
  }
  Footprint footprint() const {
    Footprint f;
    f.descriptors = file_ >= 0 ? 1 : 0;
    return f;
  }

private:
  int file_ = -1;
  off_t end_ = 0;
};

template <typename Pages> class PteSwap final : public Armer {
public:
  explicit PteSwap(std::string_view name) : name_(name) {}

  std::string_view name() const noexcept override { return name_; }
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoAddedMapping, Promise::ProbesInOwnPath}); // refuses pages written before
  }

  Facts facts() const noexcept override { return {.gives_pages_back = true}; }
  bool replaces_pages() const noexcept override { return true; }

  Status open(TargetCode&) override { return placed_.open(); }
  void close() override {
    // Only pages that the program unmapped under their probes (H15) are still known here.
    for (const auto& [page, swapped] : pages_)
      ::munmap(bytes_at(swapped.stash), kPage);
    pages_.clear();
    placed_.close();
  }

  void arm(const AddressSpace& space, std::span<ByteWrite> batch) override {
    const AddressSpace now = AddressSpace::on_demand(); // without shadows
    for_each_page(batch, [&](Address page, std::span<ByteWrite*> writes) {
      const bool was_swapped = pages_.contains(page);
      const std::optional<SwappedPage> known = still_swapped(now, page);
      SwappedPage next = known.value_or(SwappedPage{});
      for (const ByteWrite* write : writes)
        next.armed.set(offset_in_page(write->address));
      const Status done = known ? replace(page, next) : swap_in(was_swapped ? now : space, page, next);
      settle(page, std::move(next), writes, done);
    });
  }

  void disarm(std::span<ByteWrite> batch) override {
    const AddressSpace now = AddressSpace::on_demand();
    for_each_page(batch, [&](Address page, std::span<ByteWrite*> writes) {
      const std::optional<SwappedPage> known = still_swapped(now, page);
      if (!known) {
        settle(page, {}, writes, failure(ErrorKind::StaleSite, page, "the page was replaced"));
        return;
      }
      SwappedPage next = *known;
      for (const ByteWrite* write : writes)
        next.armed.reset(offset_in_page(write->address));
      const Status done = next.armed.none() ? swap_back(page, next) : replace(page, next);
      settle(page, std::move(next), writes, done);
    });
  }

  Footprint footprint() const override {
    Footprint f = placed_.footprint();
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
    schedule::point("swap.serialise");
    serialise_cores(); // a core may still execute what it fetched before: no interrupt need have reached it
                       // (H02)
  }

  // The page's state with the sites whose int3 is still there; nothing, and the page forgotten, if the copy
  // is not what is mapped there (H15). A stepper that writes the site (in-place) hides an int3 for a moment.
  std::optional<SwappedPage> still_swapped(const AddressSpace& space, Address page) {
    const auto known = pages_.find(page);
    if (known == pages_.end())
      return {};
    const Mapping* const mapping = space.find(page);
    if (mapping == nullptr && space.mappings().empty()) // they cannot be looked at: no descriptor is left
      return known->second;
    SwappedPage now = known->second;
    if (mapping != nullptr && placed_.looks_put(*mapping))
      now.armed = seen_armed(page, now.armed);
    else
      now.armed.reset();
    if (now.armed.any())
      return now;
    ::munmap(bytes_at(now.stash), kPage);
    pages_.erase(known);
    return {};
  }

  static std::bitset<kPage> seen_armed(Address page, const std::bitset<kPage>& armed) {
    constexpr int kLooks = 1000;
    std::bitset<kPage> seen{};
    PageBytes bytes{};
    for (int look = 0; look < kLooks && seen != armed && read_code(page, bytes); ++look)
      for (std::size_t offset = 0; offset < kPage; ++offset)
        if (armed[offset] && bytes[offset] == kInt3)
          seen.set(offset);
    return seen;
  }

  void settle(Address page, SwappedPage next, std::span<ByteWrite*> writes, const Status& done) {
    if (!done) {
      for (ByteWrite* write : writes)
        write->error = Error{done.error().kind, write->address, done.error().message};
    } else if (next.armed.none()) {
      pages_.erase(page);
    } else {
      pages_[page] = next;
    }
  }

  // The original's bytes and the armed ones. `original` is readable memory.
  Status put_copy(Address original, Address page, const SwappedPage& content) {
    schedule::point("swap.copy", page);
    PageBytes bytes;
    if (!read_memory(original, bytes))
      return failure(ErrorKind::MemoryUnsupported, page, "the page cannot be read");
    for (std::size_t offset = 0; offset < kPage; ++offset)
      if (content.armed[offset])
        bytes[offset] = kInt3;
    schedule::point("swap.put", page);
    return placed_.put(page, bytes);
  }

  Status swap_in(const AddressSpace& space, Address page, SwappedPage& next) {
    if (const Status fit = clean_private_file_page(space, page); !fit)
      return fit;
    schedule::point("swap.stash", page);
    void* const stash = ::mremap(bytes_at(page), kPage, kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
    if (stash == MAP_FAILED)
      return std::unexpected(mapping_error("cannot stash the original page", errno, page));
    next.stash = address_of(stash);
    const Status put = put_copy(next.stash, page, next);
    if (!put)
      ::munmap(stash, kPage); // the mapping at the site is still the file's
    return put;
  }

  Status replace(Address page, const SwappedPage& next) { return put_copy(next.stash, page, next); }

  static Status swap_back(Address page, const SwappedPage& last) {
    schedule::point("swap.back", page);
    return move_over(bytes_at(last.stash), page);
  }

  const std::string_view name_;
  Pages placed_;
  std::map<Address, SwappedPage> pages_;
};

template <typename Pages> bool add(std::string_view name, const char* summary) {
  return register_armer(std::string(name), summary, [=] { return std::make_unique<PteSwap<Pages>>(name); });
}

const bool registered =
    add<MovedPages>("pte-swap/mremap", "move a modified copy over the page, the original back at the end") &&
    add<MemfdPages>("pte-swap/memfd", "map a modified copy over the page, the original back at the end") &&
    claim_plain_name("pte-swap/mremap");

} // namespace

} // namespace proberace
