// The beginnings and ends of functions, and the instructions that control is seen to reach in them. Outside every
// known function nothing is decoded, because libraries keep constants in .text.
//
// Ranges come from ELF symbols with a size and from .eh_frame's FDEs (System V gABI 4; LSB 5.0, 10.6
// "Exception Frames") of the file a mapping shows, and from `add` for code that was generated at run time.
#pragma once

#include "harness/base/address_space.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace proberace {

struct FunctionRange {
  Address start{};
  Address end{};
  std::uint64_t generation = 0;
  std::string name;         // of a symbol, "" where only an FDE knows the function
  bool guessed_end = false; // see ElfFunction
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

  // All functions of the object that is mapped at `inside`, sorted by address, without those whose end is guessed;
  // none if no file is mapped there. A file that is mapped twice is two objects.
  std::vector<FunctionRange> of_object_at(const AddressSpace& space, Address inside) const;

  // Precondition: another process'. The functions of that name in the loaded objects that the file name `library` means: those whose path ends with
  // it as whole components, or else at all. Several places may have one name: versions of a symbol, static
  // functions, objects of one name; all are returned, by address. Of an indirect function they are those that were
  // chosen. BadInput, saying what is loaded, that no object has such a function, or that none is chosen yet.
  std::expected<std::vector<Address>, Error> places_of(const AddressSpace& space, std::string_view library,
                                                       std::string_view name) const;

  // By byte of the function: true if an instruction begins there that control is seen to reach (reached_code.h). None
  // for code from `add`, all of which is code. The first question about a file decodes all of it.
  std::optional<std::vector<bool>> reached(const AddressSpace& space, const FunctionRange& function) const;

  // `code` is at most an instruction. StaleSite if the mapped file holds other bytes at this place. Code that is in no ELF file, or in one that
  // relocates its code, is not compared.
  Status shows_its_file(const AddressSpace& space, Address at, std::span<const std::uint8_t> code) const;

  // A name under which this process can open the mapped file.
  std::string openable_path(const Mapping& mapping) const;

private:
  struct File;
  struct Object;
  struct Known {
    Mapping mapping;
    std::shared_ptr<Object> object;
  };
  std::shared_ptr<File> file_of(const Mapping& mapping) const;
  const Object& object_of(const AddressSpace& space, const Mapping& mapping) const;
  std::vector<Address> chosen(const AddressSpace& space, const Object& of, std::uint64_t resolver,
                              std::string_view name) const;

  const pid_t process_;
  mutable std::mutex mutex_;
  std::map<Address, FunctionRange> generated_;
  mutable std::map<std::pair<std::uint64_t, std::uint64_t>, std::shared_ptr<File>> files_; // by device, inode
  mutable std::map<Address, Known> objects_; // by the start of each of their mappings
  mutable std::uint64_t next_generation_ = 1;
};

} // namespace proberace
