// poke/mprotect: the mapping is made writable, the byte stored, the mapping made what it was.
//
// Idea: what most hooking libraries do, because every system has it: the store itself needs no /proc and no
// kernel that writes past permissions. Trade-off: all of a library's text is writable and executable for some
// microseconds, which PR_SET_MDWE, mseal or a security module forbids, and a child forked just then keeps it
// so; two more system calls per mapping, and one for each byte. It is the whole mapping, not the page: what
// was writable once stays accounted (VM_ACCOUNT, mm/mprotect.c), so that a part of it would never merge
// with its neighbours again. That accounting is left behind, besides the private pages.
#include "harness/probe/registry.h"
#include "harness/schedule/point.h"
#include "strategies/arm/page_state.h"

#include <cerrno>
#include <map>
#include <set>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

namespace proberace {

namespace {

int protection(const Mapping& mapping) {
  return (mapping.readable ? PROT_READ : 0) | (mapping.writable ? PROT_WRITE : 0) |
         (mapping.executable ? PROT_EXEC : 0);
}

// 0, or an errno; what lies in front of a part that refuses is changed all the same.
int protect(const Mapping& mapping, int protection) {
  const auto bytes = static_cast<std::size_t>(mapping.end - mapping.start);
  return ::mprotect(bytes_at(mapping.start), bytes, protection) == 0 ? 0 : errno;
}

const char* why_not_writable(int error) {
  switch (error) {
  case EPERM: return "its text is sealed (mseal), and cannot be made writable";
  case EACCES: return "this process may not make its text writable (PR_SET_MDWE, or a security module)";
  case ENOMEM: return "what may be committed leaves no room for text that is writable";
  default: return "the kernel does not make its text writable";
  }
}

class PokeMprotect final : public Armer {
public:
  std::string_view name() const noexcept override { return "poke/mprotect"; }
  // UnmappingSafe, ProbesInOwnPath: no mechanism; a program that changes the mapping's protection at that
  // very moment loses its change.
  Promises promises() const noexcept override {
    return Promises::all_but(
        {Promise::NoWritableExecutable, Promise::UnmappingSafe, Promise::ProbesInOwnPath});
  }

  Status open(TargetCode& code) override {
    code_ = &code;
    return {};
  }
  void close() override { pages_.clear(); }

  void arm(const AddressSpace&, std::span<ByteWrite> batch) override {
    store(batch, &why_not_at_all, [](const ByteWrite&) { return kInt3; });
  }
  void disarm(std::span<ByteWrite> batch) override {
    const auto nothing_against_it = [](const Mapping&) -> const char* { return nullptr; };
    store(batch, nothing_against_it, [](const ByteWrite& write) { return write.original; });
  }

  Footprint footprint() const override {
    Footprint f;
    f.private_pages = static_cast<std::int64_t>(pages_.size());
    return f;
  }

private:
  // Null, or why nothing is to be armed here.
  static const char* why_not_at_all(const Mapping& mapping) {
    return locked(mapping.start)
               ? "its text is locked in memory (mlock): made writable, all of it would be copied"
               : nullptr;
  }

  template <typename Objection, typename F>
  void store(std::span<ByteWrite> batch, Objection&& objection, F&& byte_of) {
    const AddressSpace now = AddressSpace::read(); // as it is, not as the batch was planned
    std::map<Address, std::vector<ByteWrite*>> by_mapping;
    for (ByteWrite& write : batch)
      if (const Mapping* const mapping = now.find(write.address); mapping != nullptr && !mapping->shared)
        by_mapping[mapping->start].push_back(&write);
      else
        write.error = Error{ErrorKind::MemoryUnsupported, write.address,
                            "it is not mapped, or shared: a store would change it for everybody"};
    for (auto& [start, writes] : by_mapping) {
      const Mapping& mapping = *now.find(start);
      const char* refused = objection(mapping);
      if (refused == nullptr)
        refused = make_writable(mapping);
      schedule::point("mprotect.store", writes[0]->address);
      for (ByteWrite* write : writes)
        if (refused != nullptr) {
          write->error = Error{ErrorKind::MemoryUnsupported, write->address, refused};
        } else if (!stored(mapping, write->address, byte_of(*write))) {
          write->error = Error{ErrorKind::MemoryUnsupported, write->address,
                               "it does not stay writable: the program changes its protection"};
        } else {
          pages_.insert(page_of(write->address));
        }
      protect(mapping, protection(mapping)); // also after a refusal half-way
    }
    code_->serialise();
  }

  // By process_vm_writev(2), which keeps to protections, and answers where a store would be a fault: the
  // program may have taken the permission back meanwhile. One byte is copied whole; a call is a release.
  static bool stored(const Mapping& mapping, Address to, std::uint8_t byte) {
    const iovec local{&byte, 1};
    const iovec remote{bytes_at(to), 1};
    for (int tries = 0; tries < kTries; ++tries) {
      if (::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0) == 1)
        return true;
      if (make_writable(mapping) != nullptr)
        return false;
    }
    return false;
  }

  // Null, or why not.
  static const char* make_writable(const Mapping& mapping) {
    const int error = protect(mapping, protection(mapping) | PROT_WRITE);
    return error != 0 ? why_not_writable(error) : nullptr;
  }

  static constexpr int kTries = 100;
  TargetCode* code_ = nullptr;
  std::set<Address> pages_; // that hold a store of ours, armed or not
};

const bool registered =
    register_armer("poke/mprotect", "one-byte store into text made writable for it, cores serialised",
                   [] { return std::make_unique<PokeMprotect>(); });

} // namespace

} // namespace proberace
