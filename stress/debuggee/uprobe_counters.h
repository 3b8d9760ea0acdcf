// Kernel uprobes in one process, counted by thread in the kernel: the process is not traced, and no thread of it
// stops.
//
// Idea: one BPF program adds one to a hash map's counter under (address, thread). All places of a file are one link
// (BPF_TRACE_UPROBE_MULTI, Linux 6.6), so a thousand places are attached in milliseconds. An older kernel (5.15) gets
// one perf event for each place with the same program. Trade-off: bpf(2) needs CAP_BPF and CAP_PERFMON, and a hit
// costs a lookup in the map.
//
// The kernel arms a place of a file wherever the process maps the file. Hits at other addresses than those asked for
// are not reported, though they take room in the map: those of a second mapping, and those after an exec, unless the
// new program maps the same file at the same address. Children that were forked are other processes and are not
// counted.
#pragma once

#include "harness/base/address.h"
#include "harness/base/error.h"
#include "harness/probe/prober.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace proberace {

struct InFile;

class UprobeCounters {
public:
  struct Place {
    Address address{}; // in the process
    std::string path;  // opens the file
    std::uint64_t file_offset = 0;
  };
  enum class Way { Multi, PerfEvents };

  // True where Way::Multi can be had: such a kernel, and the permission.
  static bool has_multi();
  // Multi where the kernel has it.
  static Way best_way();

  // Precondition of both: addresses are distinct. Arms those that the kernel takes, and says of the others why not.
  // The error if none could be tried: MachineLacks, NoPermission.
  static std::expected<UprobeCounters, Error> attach_each(pid_t process, std::span<const Place> places,
                                                          SiteResults& results, Way way = best_way());
  // Arms all of them, or none. The error says which place the kernel refused.
  static std::expected<UprobeCounters, Error> attach(pid_t process, std::span<const Place> places,
                                                     Way way = best_way());

  UprobeCounters(UprobeCounters&& other) noexcept;
  UprobeCounters& operator=(UprobeCounters&&) = delete;
  ~UprobeCounters();

  // Disarms. The counts stay.
  void detach();
  struct Counts {
    std::vector<std::map<pid_t, std::uint64_t>> hits; // of each place, by thread id; ended threads, too
    std::uint64_t lost = 0;                           // hits for which the kernel had no room to count
  };
  Counts read() const;

private:
  UprobeCounters() = default;
  Status load(pid_t process, Way way);
  void link_multi(pid_t process, const InFile& file, std::size_t begin, std::size_t end,
                  std::span<const Place> places, SiteResults& results);
  void link_events(const InFile& file, std::span<const Place> places, SiteResults& results);
  Status link_event(std::uint32_t type, const Place& place);

  std::vector<Address> addresses_; // of the places
  int map_ = -1;
  int program_ = -1;
  std::vector<int> links_; // and the events under them
};

} // namespace proberace
