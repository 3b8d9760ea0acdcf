#include "stress/debuggee/uprobe_counters.h"

#include "harness/base/failure.h"
#include "strategies/whole/uprobe_event.h"
#include "stress/debuggee/counting_program.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <map>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace proberace {

// Places of one file, by their offset in it. Two addresses may be one place of a file that is mapped twice: it gets one
// uprobe.
struct InFile {
  std::string path;
  std::vector<std::uint64_t> offsets;
  std::vector<std::vector<std::size_t>> places; // the numbers of those at each offset
};

namespace {

// include/uapi/linux/bpf.h, Linux 6.6; Debian 12's header is older.
constexpr std::uint32_t kTraceUprobeMulti = 48;
struct MultiLink {
  std::uint32_t program = 0;
  std::uint32_t target = 0;
  std::uint32_t attach_type = kTraceUprobeMulti;
  std::uint32_t flags = 0;
  std::uint64_t path = 0;
  std::uint64_t offsets = 0;
  std::uint64_t reference_counters = 0;
  std::uint64_t cookies = 0;
  std::uint32_t count = 0;
  std::uint32_t multi_flags = 0;
  std::uint32_t process = 0;
  std::uint32_t unused = 0;
};

constexpr std::uint32_t kMostCounters = 1U << 20;

long bpf(int command, const void* attributes, std::size_t bytes) {
  return ::syscall(SYS_bpf, command, attributes, bytes);
}

Error refused(int error_number, const char* what) {
  if (error_number == EPERM || error_number == EACCES)
    return Error{ErrorKind::NoPermission, {}, "kernel uprobes need CAP_BPF and CAP_PERFMON: run as root"};
  return system_error(what, error_number);
}

std::vector<InFile> in_files(std::span<const UprobeCounters::Place> places) {
  std::map<std::pair<dev_t, ino_t>, std::map<std::uint64_t, std::vector<std::size_t>>> files;
  for (std::size_t i = 0; i < places.size(); ++i) {
    struct stat file {};
    (void)::stat(places[i].path.c_str(), &file); // what cannot be opened is refused by its path
    files[{file.st_dev, file.st_ino}][places[i].file_offset].push_back(i);
  }
  std::vector<InFile> all;
  for (auto& [file, offsets] : files) {
    InFile& one = all.emplace_back(InFile{places[offsets.begin()->second.front()].path, {}, {}});
    for (auto& [offset, numbers] : offsets) {
      one.offsets.push_back(offset);
      one.places.push_back(std::move(numbers));
    }
  }
  return all;
}

// Else it is about the process or the machine, and every other place would be refused alike.
bool is_about_the_place(int error_number) {
  return error_number != ESRCH && error_number != ENOENT && error_number != EPERM && error_number != EACCES &&
         error_number != ENOMEM && error_number != EMFILE && error_number != EINTR;
}

Error uprobe_refused(int error_number, const UprobeCounters::Place& place) {
  Error error = uprobe_registration_error(error_number, {});
  error.message = fmt::format("{}+{:#x}: {}", place.path, place.file_offset, error.message);
  return error;
}

// False where the kernel has none, and where it filters by thread instead of process, as the first that had them did.
// Asked as libbpf asks (tools/lib/bpf/features.c, probe_uprobe_multi_link): "/" is no regular file, so EBADF, and no
// process has the number -1, so EINVAL where processes are looked up at all.
bool has_multi_links() {
  bpf_attr program{};
  constexpr bpf_insn kNothing[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                                   {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  program.prog_type = BPF_PROG_TYPE_KPROBE;
  program.insn_cnt = std::size(kNothing);
  program.insns = reinterpret_cast<std::uint64_t>(kNothing);
  program.license = reinterpret_cast<std::uint64_t>("GPL");
  program.expected_attach_type = kTraceUprobeMulti;
  const long loaded = bpf(BPF_PROG_LOAD, &program, sizeof program);
  if (loaded < 0)
    return false;
  MultiLink link;
  link.program = static_cast<std::uint32_t>(loaded);
  link.path = reinterpret_cast<std::uint64_t>("/");
  std::uint64_t offset = 0;
  link.offsets = reinterpret_cast<std::uint64_t>(&offset);
  link.count = 1;
  bool known = bpf(BPF_LINK_CREATE, &link, sizeof link) < 0 && errno == EBADF;
  link.process = ~0U;
  known = known && bpf(BPF_LINK_CREATE, &link, sizeof link) < 0 && errno == EINVAL;
  ::close(static_cast<int>(loaded));
  return known;
}

} // namespace

UprobeCounters::UprobeCounters(UprobeCounters&& other) noexcept
    : addresses_(std::move(other.addresses_)), map_(std::exchange(other.map_, -1)),
      program_(std::exchange(other.program_, -1)), links_(std::exchange(other.links_, {})) {}

UprobeCounters::~UprobeCounters() {
  detach();
  if (map_ >= 0)
    ::close(map_);
}

Status UprobeCounters::load(pid_t process, Way way) {
  bpf_attr map{};
  map.map_type = BPF_MAP_TYPE_HASH;
  map.key_size = sizeof(HitCounterKey);
  map.value_size = sizeof(std::uint64_t);
  map.max_entries = kMostCounters;
  map.map_flags = BPF_F_NO_PREALLOC;
  map_ = static_cast<int>(bpf(BPF_MAP_CREATE, &map, sizeof map));
  if (map_ < 0)
    return std::unexpected(refused(errno, "the kernel made no BPF map"));
  bpf_attr element{};
  const std::uint64_t zero = 0;
  element.map_fd = static_cast<std::uint32_t>(map_);
  element.key = reinterpret_cast<std::uint64_t>(&kLostHits);
  element.value = reinterpret_cast<std::uint64_t>(&zero);
  if (bpf(BPF_MAP_UPDATE_ELEM, &element, sizeof element) != 0)
    return std::unexpected(refused(errno, "the kernel's BPF map takes no counter"));

  const auto code = counting_program(map_, process);
  if (!code)
    return std::unexpected(code.error());
  std::vector<char> log(65536);
  bpf_attr program{};
  program.prog_type = BPF_PROG_TYPE_KPROBE;
  program.insn_cnt = static_cast<std::uint32_t>(code->size());
  program.insns = reinterpret_cast<std::uint64_t>(code->data());
  program.license = reinterpret_cast<std::uint64_t>("GPL");
  program.expected_attach_type = way == Way::Multi ? kTraceUprobeMulti : 0;
  program.log_level = 1;
  program.log_size = static_cast<std::uint32_t>(log.size());
  program.log_buf = reinterpret_cast<std::uint64_t>(log.data());
  program_ = static_cast<int>(bpf(BPF_PROG_LOAD, &program, sizeof program));
  if (program_ < 0)
    return std::unexpected(
        refused(errno, fmt::format("the kernel refused the counting BPF program: {}", log.data()).c_str()));
  return {};
}

// A link for a part of a file's places. The kernel arms all of them or none, and does not say which it refuses: then
// each half gets a link.
void UprobeCounters::link_multi(pid_t process, const InFile& file, std::size_t begin, std::size_t end,
                                std::span<const Place> places, SiteResults& results) {
  MultiLink link;
  link.program = static_cast<std::uint32_t>(program_);
  link.path = reinterpret_cast<std::uint64_t>(file.path.c_str());
  link.offsets = reinterpret_cast<std::uint64_t>(file.offsets.data() + begin);
  link.count = static_cast<std::uint32_t>(end - begin);
  link.process = static_cast<std::uint32_t>(process);
  const long made = bpf(BPF_LINK_CREATE, &link, sizeof link);
  if (made >= 0)
    return links_.push_back(static_cast<int>(made));
  const int error_number = errno;
  if (end - begin > 1 && is_about_the_place(error_number)) {
    const std::size_t middle = begin + (end - begin) / 2;
    link_multi(process, file, begin, middle, places, results);
    return link_multi(process, file, middle, end, places, results);
  }
  for (std::size_t at = begin; at < end; ++at)
    for (const std::size_t i : file.places[at])
      results[i] = std::unexpected(uprobe_refused(error_number, places[i]));
}

// An event counts on one CPU, but its program runs at every hit (kernel/trace/trace_uprobe.c,
// __uprobe_perf_func).
void UprobeCounters::link_events(const InFile& file, std::span<const Place> places, SiteResults& results) {
  const auto type = uprobe_perf_type();
  for (const std::vector<std::size_t>& numbers : file.places) {
    const Status linked = type ? link_event(*type, places[numbers.front()]) : std::unexpected(type.error());
    for (const std::size_t i : numbers)
      results[i] = linked;
  }
}

Status UprobeCounters::link_event(std::uint32_t type, const Place& place) {
  const int event = open_uprobe_event(type, place.path, place.file_offset, -1, 0, false);
  if (event < 0)
    return std::unexpected(uprobe_refused(errno, place));
  links_.push_back(event);
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<std::uint32_t>(program_);
  link.link_create.target_fd = static_cast<std::uint32_t>(event);
  link.link_create.attach_type = BPF_PERF_EVENT;
  const long made = bpf(BPF_LINK_CREATE, &link, sizeof link);
  if (made < 0)
    return std::unexpected(refused(errno, "the kernel links no BPF program to a uprobe's perf event"));
  links_.push_back(static_cast<int>(made));
  return {};
}

std::expected<UprobeCounters, Error> UprobeCounters::attach_each(pid_t process, std::span<const Place> places,
                                                                 SiteResults& results, Way way) {
  UprobeCounters counters;
  for (const Place& place : places)
    counters.addresses_.push_back(place.address);
  results.assign(places.size(), Status{});
  if (const Status loaded = counters.load(process, way); !loaded)
    return std::unexpected(loaded.error());
  for (const InFile& file : in_files(places))
    if (way == Way::Multi)
      counters.link_multi(process, file, 0, file.offsets.size(), places, results);
    else
      counters.link_events(file, places, results);
  return counters;
}

std::expected<UprobeCounters, Error> UprobeCounters::attach(pid_t process, std::span<const Place> places,
                                                            Way way) {
  SiteResults results;
  auto counters = attach_each(process, places, results, way);
  if (counters)
    for (const Status& result : results)
      if (!result)
        return std::unexpected(result.error());
  return counters;
}

bool UprobeCounters::has_multi() {
  return has_multi_links();
}

UprobeCounters::Way UprobeCounters::best_way() {
  return has_multi() ? Way::Multi : Way::PerfEvents;
}

void UprobeCounters::detach() {
  while (!links_.empty()) {
    ::close(links_.back());
    links_.pop_back();
  }
  if (program_ >= 0)
    ::close(std::exchange(program_, -1));
}

UprobeCounters::Counts UprobeCounters::read() const {
  std::map<std::uint64_t, std::size_t> places; // by address
  for (std::size_t i = 0; i < addresses_.size(); ++i)
    places.emplace(static_cast<std::uint64_t>(value(addresses_[i])), i);
  Counts counts;
  counts.hits.resize(addresses_.size());
  bpf_attr element{};
  HitCounterKey key;
  std::uint64_t count = 0;
  element.map_fd = static_cast<std::uint32_t>(map_);
  element.next_key = reinterpret_cast<std::uint64_t>(&key);
  while (bpf(BPF_MAP_GET_NEXT_KEY, &element, sizeof element) == 0) {
    bpf_attr at{};
    at.map_fd = static_cast<std::uint32_t>(map_);
    at.key = reinterpret_cast<std::uint64_t>(&key);
    at.value = reinterpret_cast<std::uint64_t>(&count);
    if (bpf(BPF_MAP_LOOKUP_ELEM, &at, sizeof at) == 0) {
      if (const auto place = places.find(key.address); place != places.end())
        counts.hits[place->second][static_cast<pid_t>(key.thread)] += count;
      else if (key.address == kLostHits.address)
        counts.lost += count;
    }
    element.key = reinterpret_cast<std::uint64_t>(&key);
  }
  return counts;
}

} // namespace proberace
