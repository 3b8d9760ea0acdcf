// poke: a one-byte store in place, while other cores may be fetching that very line.
//
// Idea: one byte cannot be torn; a core fetches the old or the new instruction. Trade-off: the manuals do not
// promise that for unsynchronised cross-modifying code (SDM vol. 3A, 9.1.3; AMD APM vol. 2, 7.6.1, allows it
// for one naturally aligned quadword), which is what makes "CPU people nervous"; the core serialisation that
// follows bounds how long an old byte may still be fetched, and `poke/raw` shows what leaving it out saves.
//
// The store goes through /proc/self/mem, which breaks copy-on-write first: in file text the first store of a
// page swaps in a private page, and the page stays private after removal (Footprint::private_pages).
// `poke/drop` gives it back: with the last probe of a page that was clean before, MADV_DONTNEED drops the
// private page, and the file's own is there again. A page that was private before (relocations, another
// tool's patch, H63), or that differs now from the file by more than our bytes, is restored by writing.
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "strategies/arm/page_state.h"

#include <cerrno>
#include <map>
#include <set>

namespace proberace {

namespace {

enum class Serialise { Yes, No };
enum class OnRemoval { KeepPage, DropPage };

class Poke final : public Armer {
public:
  Poke(std::string_view name, Serialise serialise, OnRemoval on_removal)
      : name_(name), serialise_(serialise), on_removal_(on_removal) {}

  std::string_view name() const noexcept override { return name_; }
  Promises promises() const noexcept override {
    if (serialise_ == Serialise::Yes)
      return Promises::all();
    // Nothing makes another core fetch the new byte before insert (remove) returns (H02).
    return Promises::all_but({Promise::InsertionWhileRunning, Promise::RemovalWhileRunning});
  }

  Facts facts() const noexcept override { return {.gives_pages_back = on_removal_ == OnRemoval::DropPage}; }

  Status open(TargetCode& code) override {
    code_ = &code;
    return {};
  }

  void arm(const AddressSpace& space, std::span<ByteWrite> batch) override {
    for (ByteWrite& write : batch) {
      const Address page = page_of(write.address);
      if (on_removal_ == OnRemoval::DropPage && !pages_.contains(page))
        pages_[page].droppable = clean_private_file_page(space, page).has_value();
      store(write, kInt3);
      if (!write.error)
        ++pages_[page].armed;
    }
    settle();
  }

  void disarm(std::span<ByteWrite> batch) override {
    std::map<Address, std::vector<ByteWrite*>> by_page;
    for (ByteWrite& write : batch)
      by_page[page_of(write.address)].push_back(&write);
    for (auto& [page, writes] : by_page) {
      PageState& state = pages_[page];
      for (ByteWrite* write : writes) {
        store(*write, write->original);
        state.armed -= write->error ? 0 : 1;
      }
      if (state.armed == 0 && state.droppable && drop_if_as_in_file(page))
        pages_.erase(page);
    }
    settle();
  }

  void close() override { pages_.clear(); }
  bool works_from_outside() const noexcept override { return on_removal_ == OnRemoval::KeepPage; }

  Footprint footprint() const override {
    Footprint f;
    f.private_pages = static_cast<std::int64_t>(pages_.size());
    return f;
  }

private:
  struct PageState {
    int armed = 0;
    bool droppable = false; // was the file's own before the first store
  };

  void store(ByteWrite& write, std::uint8_t byte) {
    schedule::point("poke.store", write.address);
    const int error = code_->write(write.address, {&byte, 1});
    if (error == EIO || error == EFAULT)
      write.error =
          Error{ErrorKind::MemoryUnsupported, write.address,
                "the kernel does not write here through /proc/self/mem (a shared mapping, unmapped memory, "
                "or proc_mem.force_override=never)"};
    else if (error != 0)
      write.error = system_error("cannot write through /proc/self/mem", error, write.address);
  }

  void settle() {
    schedule::point("poke.serialise");
    if (serialise_ == Serialise::Yes)
      code_->serialise();
  }

  const std::string_view name_;
  const Serialise serialise_;
  const OnRemoval on_removal_;
  TargetCode* code_ = nullptr;
  std::map<Address, PageState> pages_; // that hold a store of ours, armed or not
};

bool add(std::string_view name, const char* summary, Serialise serialise, OnRemoval on_removal) {
  return register_armer(std::string(name), summary,
                        [=] { return std::make_unique<Poke>(name, serialise, on_removal); });
}

const bool registered =
    add("poke", "one-byte store in place through /proc/self/mem, cores serialised", Serialise::Yes,
        OnRemoval::KeepPage) &&
    add("poke/raw", "the same, and no core is serialised", Serialise::No, OnRemoval::KeepPage) &&
    add("poke/drop", "poke, and a page that was clean is dropped with its last probe", Serialise::Yes,
        OnRemoval::DropPage) &&
    claim(Role::ReferenceArmer, "poke");

} // namespace

} // namespace proberace
