// poke: a one-byte store in place, through /proc/self/mem, while other cores may be fetching that very line.
//
// Idea: one byte cannot be torn; a core fetches the old or the new instruction. Trade-off: the manuals do not
// promise that for unsynchronised cross-modifying code (SDM vol. 3A, 9.1.3; AMD APM vol. 2, 7.6.1, allows it
// for one naturally aligned quadword), which is what makes "CPU people nervous"; the core serialisation that
// follows bounds how long an old byte may still be fetched. /proc/self/mem breaks copy-on-write first, so in
// file text the first store of a page swaps in a private page, and the page stays private after removal
// (Footprint::private_pages).
#include "harness/probe/registry.h"

#include <cerrno>
#include <set>

namespace proberace {

namespace {

class Poke final : public Armer {
public:
  std::string_view name() const noexcept override { return "poke"; }
  Promises promises() const noexcept override { return Promises::all(); }

  Status open(TargetCode& code) override {
    code_ = &code;
    return {};
  }

  void arm(const AddressSpace&, std::span<ByteWrite> batch) override {
    for (ByteWrite& write : batch) {
      store(write, kInt3);
      if (!write.error)
        touched_pages_.insert(page_of(write.address));
    }
    code_->serialise();
  }

  void disarm(std::span<ByteWrite> batch) override {
    for (ByteWrite& write : batch)
      store(write, write.original);
    code_->serialise();
  }

  void close() override { touched_pages_.clear(); }
  bool works_from_outside() const noexcept override { return true; }

  Footprint footprint() const override {
    Footprint f;
    f.private_pages = static_cast<std::int64_t>(touched_pages_.size());
    return f;
  }

private:
  void store(ByteWrite& write, std::uint8_t byte) {
    const int error = code_->write(write.address, {&byte, 1});
    if (error == EIO || error == EFAULT)
      write.error =
          Error{ErrorKind::MemoryUnsupported, write.address,
                "the kernel does not write here through /proc/self/mem (a shared mapping, unmapped memory, "
                "or proc_mem.force_override=never)"};
    else if (error != 0)
      write.error = system_error("cannot write through /proc/self/mem", error, write.address);
  }

  TargetCode* code_ = nullptr;
  std::set<Address> touched_pages_;
};

const bool registered =
    register_armer("poke", "one-byte store in place through /proc/self/mem, cores serialised",
                   [] { return std::make_unique<Poke>(); });

} // namespace

} // namespace proberace
