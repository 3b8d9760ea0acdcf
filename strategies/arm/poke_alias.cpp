// poke/alias: the same one-byte store in place, through a second, writable mapping of the same memory.
//
// Idea: what a JIT with W^X does: code that lies in shared memory (a memfd, shared anonymous memory) can be
// mapped a second time, and a store there needs no system call. Trade-off: file text is private, and private
// memory has no second mapping, so it is refused; a forked child shares the page, and arming or disarming in
// one arms or disarms both (H27).
#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"

#include <atomic>
#include <cerrno>
#include <map>
#include <sys/mman.h>

namespace proberace {

namespace {

enum class Serialise { Yes, No };

class PokeAlias final : public Armer {
public:
  PokeAlias(std::string_view name, Serialise serialise) : name_(name), serialise_(serialise) {}
  ~PokeAlias() override { PokeAlias::close(); }

  std::string_view name() const noexcept override { return name_; }
  Promises promises() const noexcept override {
    const Promises alias =
        Promises::all_but({Promise::FileBackedText, Promise::ForkSafe, Promise::NoAddedMapping,
                           Promise::ProbesInOwnPath}); // which is file text
    return serialise_ == Serialise::Yes
               ? alias
               : alias & Promises::all_but({Promise::InsertionWhileRunning, Promise::RemovalWhileRunning});
  }
  Facts facts() const noexcept override { return {.keeps_mappings = true}; }

  Status open(TargetCode& code) override {
    code_ = &code;
    return {};
  }

  void arm(const AddressSpace& space, std::span<ByteWrite> batch) override {
    for (ByteWrite& write : batch) {
      if (const Status mapped = map_alias(space, page_of(write.address)); !mapped)
        write.error = Error{mapped.error().kind, write.address, mapped.error().message};
      else
        store(write.address, kInt3);
    }
    settle();
  }

  void disarm(std::span<ByteWrite> batch) override {
    for (ByteWrite& write : batch)
      store(write.address, write.original);
    settle();
  }

  void close() override {
    for (const auto& [page, alias] : aliases_)
      ::munmap(alias.bytes, kPageBytes);
    aliases_.clear();
  }

  Footprint footprint() const override {
    Footprint f;
    f.mappings = static_cast<std::int64_t>(aliases_.size());
    f.mapped_bytes = f.mappings * static_cast<std::int64_t>(kPageBytes);
    return f;
  }

private:
  // Of which file, and where in it.
  struct Memory {
    std::uint64_t device, inode, offset;
    bool operator==(const Memory&) const = default;
  };
  struct Alias {
    std::uint8_t* bytes;
    Memory memory;
  };

  static std::unexpected<Error> refused(Address page, const char* why) {
    return failure(ErrorKind::MemoryUnsupported, page, "{}", why);
  }

  // mremap(2) with an old size of 0 maps the pages of a shared mapping a second time.
  Status map_alias(const AddressSpace& space, Address page) {
    const Mapping* mapping = space.find(page);
    if (mapping == nullptr || !mapping->shared)
      return refused(page, "only shared memory can be mapped a second time, and this is private");
    const Memory memory{mapping->device, mapping->inode,
                        mapping->file_offset + static_cast<std::uint64_t>(page - mapping->start)};
    const auto known = aliases_.find(page);
    if (known != aliases_.end() && known->second.memory == memory)
      return {};
    void* const alias = ::mremap(bytes_at(page), 0, kPageBytes, MREMAP_MAYMOVE, nullptr);
    if (alias == MAP_FAILED && errno == ENOMEM)
      return failure(ErrorKind::MappingLimit, page,
                     "no second mapping: out of memory, or vm.max_map_count is reached");
    if (alias == MAP_FAILED)
      return refused(page, errno == EPERM ? "the kernel gives no second mapping of it: it is sealed (mseal)"
                                          : "the kernel gives no second mapping of it");
    if (::mprotect(alias, kPageBytes, PROT_READ | PROT_WRITE) != 0) {
      ::munmap(alias, kPageBytes);
      return refused(page, "the file behind this memory was not opened for writing");
    }
    // The program has mapped other memory there since (H15).
    if (known != aliases_.end())
      ::munmap(known->second.bytes, kPageBytes);
    aliases_[page] = {static_cast<std::uint8_t*>(alias), memory};
    return {};
  }

  void store(Address at, std::uint8_t byte) {
    schedule::point("alias.store", at);
    std::atomic_ref(aliases_.at(page_of(at)).bytes[offset_in_page(at)])
        .store(byte,
               std::memory_order_release); // the site's record was published before; pairs with the trap
  }

  void settle() {
    schedule::point("alias.serialise");
    if (serialise_ == Serialise::Yes)
      code_->serialise();
  }

  const std::string_view name_;
  const Serialise serialise_;
  TargetCode* code_ = nullptr;
  std::map<Address, Alias> aliases_; // by page of the site
};

bool add(std::string_view name, const char* summary, Serialise serialise) {
  return register_armer(std::string(name), summary,
                        [=] { return std::make_unique<PokeAlias>(name, serialise); });
}

const bool registered =
    add("poke/alias", "one-byte store through a second mapping of shared code", Serialise::Yes) &&
    add("poke/alias-raw", "the same, and no core is serialised", Serialise::No);

} // namespace

} // namespace proberace
