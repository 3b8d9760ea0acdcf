// Code that checks itself, in a shared library of the user's. It exports, with C linkage:
//
//   int proberace_workload(uint64_t seed);
//     Required. 0 if its own output was right; another number says what was not. Called from several threads
//     at once, again and again. Some 100,000 instructions a call: with a probe on each, that is a second.
//   const void* const* proberace_workload_objects(void);
//     Optional. Null-terminated: an address in each of the objects to probe, instead of the workload's own.
//   const void* const* proberace_workload_functions(void);
//     Optional. Null-terminated: only these functions are probed, wherever they lie.
#pragma once

#include "stress/code/object_code.h"

#include <string>

namespace proberace {

class Workload {
public:
  // A file, or the name of one of our own workloads. BadInput if it cannot be loaded, or exports no entry.
  // The file stays loaded.
  static std::expected<Workload, Error> load(const std::string& name);

  int run(std::uint64_t seed) const { return entry_(seed); }
  // Every instruction to probe, by object and address. BadInput if there is none.
  std::expected<std::vector<CodePoint>, Error> code(const Target& target) const;

private:
  using Entry = int (*)(std::uint64_t);
  using Places = const void* const* (*)();

  std::string name_;
  Entry entry_ = nullptr;
  Places objects_ = nullptr, functions_ = nullptr;
};

// Of our own workloads, sorted; they lie in workloads/ beside the program.
std::vector<std::string> own_workloads();

} // namespace proberace
