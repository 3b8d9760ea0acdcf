// poke/mprotect: the mapping is made writable, the byte stored, the mapping made what it was.
//
// Idea: what a process may do to its own text without /proc (hidden by a sandbox, or
// proc_mem.force_override=never), and what most hooking libraries do. Trade-off: all of a library's text is
// writable and executable for some microseconds, which PR_SET_MDWE, mseal or a security module forbids; two
// more system calls per mapping, each with a TLB flush. It is the whole mapping, not the page: what was
// writable once is accounted for ever (VM_ACCOUNT, mm/mprotect.c), and never merges with its neighbours
// again. That accounting is what is left behind, besides the private pages; and a child forked meanwhile
// keeps its text writable.
#include "harness/probe/registry.h"

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <sys/mman.h>

namespace proberace {

namespace {

int protection(const Mapping& mapping) {
  return (mapping.readable ? PROT_READ : 0) | (mapping.writable ? PROT_WRITE : 0) |
         (mapping.executable ? PROT_EXEC : 0);
}

// 0, or an errno.
int protect(const Mapping& mapping, int protection) {
  const auto bytes = static_cast<std::size_t>(mapping.end - mapping.start);
  return ::mprotect(bytes_at(mapping.start), bytes, protection) == 0 ? 0 : errno;
}

Error cannot_open(Address at, int error) {
  if (error == ENOMEM)
    return {ErrorKind::MappingLimit, at, "memory that may be committed leaves no room for a writable text"};
  return {ErrorKind::MemoryUnsupported, at,
          "this process may not make its text writable (PR_SET_MDWE, mseal, or a security module)"};
}

class PokeMprotect final : public Armer {
public:
  std::string_view name() const noexcept override { return "poke/mprotect"; }
  // UnmappingSafe, ProbesInOwnPath: no mechanism; a store to a page that is gone is a fault.
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoWritableExecutable, Promise::UnmappingSafe, Promise::ProbesInOwnPath});
  }

  Status open(TargetCode& code) override {
    code_ = &code;
    return {};
  }
  void close() override { pages_.clear(); }

  void arm(const AddressSpace& space, std::span<ByteWrite> batch) override {
    store(space, batch, [](const ByteWrite&) { return kInt3; });
  }
  void disarm(std::span<ByteWrite> batch) override {
    store(AddressSpace::read(), batch, [](const ByteWrite& write) { return write.original; });
  }

  Footprint footprint() const override {
    Footprint f;
    f.private_pages = static_cast<std::int64_t>(pages_.size());
    return f;
  }

private:
  template <typename F> void store(const AddressSpace& space, std::span<ByteWrite> batch, F&& byte_of) {
    std::map<const Mapping*, std::vector<ByteWrite*>> by_mapping;
    for (ByteWrite& write : batch)
      if (const Mapping* const mapping = space.find(write.address); mapping != nullptr && !mapping->shared)
        by_mapping[mapping].push_back(&write);
      else
        write.error = Error{ErrorKind::MemoryUnsupported, write.address,
                            "it is not mapped, or shared: a store would change it for everybody"};
    static std::mutex one_at_a_time; // or another prober's would be made what it was under this one's store
    const std::lock_guard lock(one_at_a_time);
    for (auto& [mapping, writes] : by_mapping) {
      const int error = protect(*mapping, protection(*mapping) | PROT_WRITE);
      for (ByteWrite* write : writes)
        if (error != 0) {
          write->error = cannot_open(write->address, error);
        } else {
          std::atomic_ref(*bytes_at(write->address))
              .store(byte_of(*write), std::memory_order_release); // the site's record before its trap
          pages_.insert(page_of(write->address));
        }
      if (error == 0)
        protect(*mapping, protection(*mapping)); // takes away what was just given: cannot be refused
    }
    code_->serialise();
  }

  TargetCode* code_ = nullptr;
  std::set<Address> pages_; // that hold a store of ours, armed or not
};

const bool registered =
    register_armer("poke/mprotect", "one-byte store into text made writable for it, cores serialised",
                   [] { return std::make_unique<PokeMprotect>(); });

} // namespace

} // namespace proberace
