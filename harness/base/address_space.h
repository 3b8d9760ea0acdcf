// The mappings of a process: a snapshot of /proc/PID/maps (about 45 µs), or single ones as they are asked for
// (about 5 µs each). Stale as soon as it is taken.
#pragma once

#include "harness/base/address.h"
#include "harness/base/error.h"

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace proberace {

struct Mapping {
  Address start{};
  Address end{};
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t file_offset = 0; // of start, in bytes
  std::uint64_t device = 0;      // 0 for anonymous memory
  std::uint64_t inode = 0;       // 0 for anonymous memory
  std::string path;              // as the kernel prints it, "" for anonymous memory

  bool file_backed() const noexcept { return inode != 0; }
  bool contains(Address a) const noexcept { return start <= a && a < end; }
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(end - start); }
  bool operator==(const Mapping&) const = default;
};

class AddressSpace {
public:
  // The snapshot of a process now; empty if it is gone or may not be looked at. 0 is this process.
  static AddressSpace read(pid_t process = 0);
  // The same of an open /proc/PID/maps. A process that makes itself undumpable later (prctl(2), PR_SET_DUMPABLE) can be
  // looked at through it, but the file can no longer be opened.
  static AddressSpace from(int maps);
  // Looks up each mapping when find() is asked for it, and remembers the answer. Reads all of them, like
  // read(), when mappings() is called or the kernel is older than 6.11 (PROCMAP_QUERY). For one thread.
  static AddressSpace on_demand(pid_t process = 0);

  // The mapping that `page` showed before a prober replaced it: find() answers with this instead, so that a
  // second site on the page is still known as a place in its file.
  void shadow(Address page, const Mapping& original) { shadows_[page] = original; }

  // Null where nothing is mapped. Valid as long as this.
  const Mapping* find(Address a) const;
  // Sorted by address.
  const std::vector<Mapping>& mappings() const;

  std::size_t writable_executable_bytes() const;

private:
  const Mapping* ask(Address a) const;

  pid_t process_ = 0;
  mutable bool whole_ = false;
  mutable std::vector<Mapping> mappings_;      // if whole
  mutable std::map<Address, Mapping> asked_{}; // by start
  std::map<Address, Mapping> shadows_;
};

} // namespace proberace
