// The beginnings and ends of functions. To find out if an instruction begins at an address, the function it
// lies in is decoded from its beginning; outside every known function nothing is decoded, because libraries
// keep constants in .text.
//
// Ranges come from ELF symbols with a size and from .eh_frame's FDEs (System V gABI 4; LSB 5.0, 10.6
// "Exception Frames") of the file a mapping shows, and from `add` for code that was generated at run time.
#pragma once

#include "harness/base/address_space.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace proberace {

struct FunctionRange {
  Address start{};
  Address end{};
  std::uint64_t generation = 0;
  std::string name; // of a symbol, "" where only an FDE knows the function
};

// Thread-safe.
class FunctionIndex {
public:
  // For the code of a process; 0 is this process.
  explicit FunctionIndex(pid_t process = 0) : process_(process) {}

  // Generated code: [start, start+bytes) is one function. Adding a range again makes a new generation, so
  // that sites of the old code are stale.
  void add(Address start, std::size_t bytes, std::string name);

  // The smallest known function around `a`. Reads the mapped file's ELF the first time it is asked about it.
  std::optional<FunctionRange> containing(const AddressSpace& space, Address a) const;

  // All functions of the object that is mapped at `inside`, sorted by address; none if no file is. A file
  // that is mapped twice is two objects.
  std::vector<FunctionRange> of_object_at(const AddressSpace& space, Address inside) const;

  // The address of a function by any of its symbols' names, in the object loaded from the file named
  // `path_suffix`. BadInput, saying what is loaded, or that the object has no such function.
  std::expected<Address, Error> symbol(const AddressSpace& space, std::string_view path_suffix,
                                       std::string_view name) const;

private:
  struct Object;
  const Object& object_of(const AddressSpace& space, const Mapping& mapping) const;

  std::string openable_path(const Mapping& mapping) const;

  const pid_t process_;
  mutable std::mutex mutex_;
  std::map<Address, FunctionRange> generated_;
  mutable std::map<Address, std::shared_ptr<Object>> objects_; // by load base
  mutable std::uint64_t next_generation_ = 1;
};

} // namespace proberace
