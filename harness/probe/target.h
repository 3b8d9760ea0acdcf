// The program to probe: this very process, or another one by its id. Knows its mappings and functions, and
// turns addresses into sites.
#pragma once

#include "harness/base/address_space.h"
#include "harness/probe/function_index.h"
#include "harness/probe/site.h"

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace proberace {

// Thread-safe.
class Target {
public:
  // 0 is this process.
  explicit Target(pid_t process = 0) : functions_(process), process_(process) {}

  // 0 for this process.
  pid_t process() const noexcept { return process_; }
  // False if any byte is not readable.
  bool read(Address from, std::span<std::uint8_t> out) const;

  // Generated code: [start, start+bytes) is one function, called `name`.
  void add_function(Address start, std::size_t bytes, std::string name) {
    functions_.add(start, bytes, std::move(name));
  }
  const FunctionIndex& functions() const noexcept { return functions_; }

  // A snapshot of the mappings as the target made them: pages a prober has replaced show what they replaced.
  AddressSpace address_space() const;

  // NotMapped, NotExecutable, OutsideFunction. Whether an instruction begins there is judged at insertion.
  std::expected<Site, Error> site_at(Address address) const;
  std::expected<Site, Error> site_at(const AddressSpace& space, Address address) const;

  // Called by probers: the page of a site holds a probe (once per site), and holds it no longer.
  void page_taken(Address page, const Mapping& original) const;
  void page_returned(Address page) const;

private:
  struct Shadow {
    Mapping original;
    int sites = 0;
  };

  FunctionIndex functions_;
  const pid_t process_;
  mutable std::mutex mutex_;
  mutable std::map<Address, Shadow> shadows_; // by page
};

} // namespace proberace
