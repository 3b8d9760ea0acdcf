// The program to probe: this very process, or another one by its id. Knows its mappings and functions, and
// turns addresses into sites.
#pragma once

#include "harness/base/address_space.h"
#include "harness/code/decode.h"
#include "harness/code/function_index.h"
#include "harness/code/site.h"

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace proberace {

inline constexpr std::size_t kMaxPatchBytes = 24;
// An armer that maps copies of pages from a file in memory calls it so (memfd_create(2)). Otherwise they are anonymous.
inline constexpr const char* kReplacementFile = "proberace-pages";

// Thread-safe.
class Target {
public:
  // 0 is this process.
  explicit Target(pid_t process = 0) : functions_(process), process_(process) {}

  // 0 for this process.
  pid_t process() const noexcept { return process_; }
  // The target's own bytes: where a prober has written, what was there before. False if any is not readable.
  bool read(Address from, std::span<std::uint8_t> out) const;

  // Generated code: [start, start+bytes) is one function, called `name`. Those that overlap it are forgotten: their
  // code is gone.
  void add_function(Address start, std::size_t bytes, std::string name) {
    functions_.add(start, bytes, std::move(name));
  }
  const FunctionIndex& functions() const noexcept { return functions_; }

  // A snapshot of the mappings as the target made them: pages a prober has replaced show what they replaced.
  AddressSpace address_space() const;

  // Code is what control is seen to reach. Linear: also what decoding a function from its beginning meets, which
  // may be data. Not while a prober is open.
  void decode_linearly() { linear_ = true; }
  // By byte of the function: true if an instruction begins there.
  std::vector<bool> instructions_of(const AddressSpace& space, const FunctionRange& function) const;

  // NotMapped, NotExecutable, OutsideFunction. Whether an instruction begins there is judged at insertion.
  std::expected<Site, Error> site_at(Address address) const;
  std::expected<Site, Error> site_at(const AddressSpace& space, Address address) const;

  // Called by probers. From before the first of `written` is in memory, over `original`, until after the last
  // is gone, so that every prober of this target sees its own bytes and mappings, and none changes bytes that
  // another's probe is made of. Those of a probe that it depends on without writing them are in both. At most
  // kMaxPatchBytes, of one size. `replaced` is the site's mapping, if the probe's page comes over it; else null: what
  // is mapped is the program's. Two probers of one target take turns.
  void site_taken(Address site, std::span<const std::uint8_t> original, std::span<const std::uint8_t> written,
                  const Mapping* replaced = nullptr) const;
  void site_returned(Address site) const;
  // True if any of these bytes is part of a probe.
  bool holds_probe(Address begin, std::size_t bytes) const;

private:
  struct Shadow {
    Mapping original;
    int sites = 0;
  };
  struct Patch {
    std::array<std::uint8_t, kMaxPatchBytes> original{};
    std::array<std::uint8_t, kMaxPatchBytes> written{};
    std::size_t bytes = 0;
    bool replaces = false; // it is one of its page's shadow
  };

  // Calls f(site, patch) for each that may have bytes in [begin, begin + bytes). Under the lock.
  template <typename F> void for_each_near(Address begin, std::size_t bytes, F&& f) const {
    const Address end = begin + static_cast<std::ptrdiff_t>(bytes);
    for (auto it = patches_.lower_bound(begin - static_cast<std::ptrdiff_t>(kMaxPatchBytes));
         it != patches_.end() && it->first < end; ++it)
      f(it->first, it->second);
  }
  void put_originals_back(Address from, std::span<std::uint8_t> bytes) const;

  FunctionIndex functions_;
  const pid_t process_;
  bool linear_ = false;
  mutable std::mutex mutex_;
  mutable std::map<Address, Shadow> shadows_; // by page
  mutable std::map<Address, Patch> patches_;  // by site
};

} // namespace proberace
