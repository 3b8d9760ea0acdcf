// The beginnings and ends of functions, and the instructions that control is seen to reach in them. Outside every
// known function nothing is decoded, because libraries keep constants in .text.
//
// Ranges come from ELF symbols with a size and from .eh_frame's FDEs (System V gABI 4; LSB 5.0, 10.6
// "Exception Frames") of the file a mapping shows, and from `add` for code that was generated at run time.
#pragma once

#include "harness/base/address_space.h"
#include "harness/base/error.h"
#include "harness/code/elf_functions.h"

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

// A file that is loaded in another process.
struct LoadedObject {
  std::string path; // as the kernel prints it, less " (deleted)"
  std::uint64_t device = 0, inode = 0;
  std::shared_ptr<const ElfImage>
      image;               // null if it is no ELF file, or is not loaded as its program headers say
  std::ptrdiff_t bias = 0; // memory's addresses less the file's
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

  // Precondition: another process'. The files of which code is mapped, by address; one that is loaded twice, twice.
  std::vector<LoadedObject> objects(const AddressSpace& space) const;

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

  const pid_t process_;
  mutable std::mutex mutex_;
  std::map<Address, FunctionRange> generated_;
  mutable std::map<std::pair<std::uint64_t, std::uint64_t>, std::shared_ptr<File>> files_; // by device, inode
  mutable std::map<Address, Known> objects_; // by the start of each of their mappings
  mutable std::uint64_t next_generation_ = 1;
};

} // namespace proberace
