#include "harness/base/address_space.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>

namespace proberace {

namespace {

int open_maps(pid_t process) {
  const std::string file = process == 0 ? "/proc/self/maps" : fmt::format("/proc/{}/maps", process);
  return ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
}

std::string read_from(int maps) {
  std::string text;
  char chunk[16384];
  for (ssize_t n; (n = ::pread(maps, chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

std::string read_maps(pid_t process) {
  const int fd = open_maps(process);
  if (fd < 0)
    return {};
  std::string text = read_from(fd);
  ::close(fd);
  return text;
}

// Takes a number of the given base off the front of the line, and the one separator behind it.
std::uint64_t take(std::string_view& line, int base) {
  std::uint64_t number = 0;
  const auto [end, ec] = std::from_chars(line.data(), line.data() + line.size(), number, base);
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  if (!line.empty())
    line.remove_prefix(1);
  return number;
}

constexpr std::uint64_t device_of(std::uint64_t major, std::uint64_t minor) {
  return major << 20 | minor;
}

// "start-end perms offset major:minor inode   path" (proc(5)).
Mapping parse(std::string_view line) {
  Mapping m;
  m.start = Address{take(line, 16)};
  m.end = Address{take(line, 16)};
  m.readable = line[0] == 'r';
  m.writable = line[1] == 'w';
  m.executable = line[2] == 'x';
  m.shared = line[3] == 's';
  line.remove_prefix(5);
  m.file_offset = take(line, 16);
  const std::uint64_t major = take(line, 16);
  m.device = device_of(major, take(line, 16));
  m.inode = take(line, 10);
  const std::size_t path = line.find_first_not_of(' ');
  if (path != std::string_view::npos)
    m.path = line.substr(path);
  return m;
}

std::vector<Mapping> parse_all(std::string_view rest) {
  std::vector<Mapping> all;
  for (std::size_t eol; (eol = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(eol + 1))
    all.push_back(parse(rest.substr(0, eol)));
  return all;
}

// struct procmap_query and PROCMAP_QUERY (include/uapi/linux/fs.h, Linux 6.11), which Debian 12's headers
// lack.
struct ProcmapQuery {
  std::uint64_t size = sizeof(ProcmapQuery);
  std::uint64_t flags = 0; // none: the mapping that covers the address, or ENOENT
  std::uint64_t address = 0;
  std::uint64_t start = 0, end = 0;
  std::uint64_t permissions = 0; // 1 readable, 2 writable, 4 executable, 8 shared
  std::uint64_t page_bytes = 0, offset = 0, inode = 0;
  std::uint32_t major = 0, minor = 0;
  std::uint32_t name_bytes = 0, build_id_bytes = 0;
  std::uint64_t name = 0, build_id = 0;
};
constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);

// Or an errno: ENOENT where nothing is mapped, ENOTTY from an older kernel.
std::expected<Mapping, int> query_mapping(pid_t process, Address a) {
  const int fd = open_maps(process);
  if (fd < 0)
    return std::unexpected(errno);
  char path[PATH_MAX] = "";
  ProcmapQuery query{
      .address = value(a), .name_bytes = sizeof path, .name = reinterpret_cast<std::uint64_t>(path)};
  const int error = ::ioctl(fd, kProcmapQuery, &query) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0)
    return std::unexpected(error);
  return Mapping{.start = Address{query.start},
                 .end = Address{query.end},
                 .readable = (query.permissions & 1) != 0,
                 .writable = (query.permissions & 2) != 0,
                 .executable = (query.permissions & 4) != 0,
                 .shared = (query.permissions & 8) != 0,
                 .file_offset = query.offset,
                 .device = device_of(query.major, query.minor),
                 .inode = query.inode,
                 .path = path};
}

} // namespace

AddressSpace AddressSpace::from(int maps) {
  AddressSpace space;
  space.whole_ = true;
  space.mappings_ = parse_all(read_from(maps));
  return space;
}

AddressSpace AddressSpace::read(pid_t process) {
  AddressSpace space = on_demand(process);
  (void)space.mappings();
  return space;
}

AddressSpace AddressSpace::on_demand(pid_t process) {
  AddressSpace space;
  space.process_ = process;
  return space;
}

const std::vector<Mapping>& AddressSpace::mappings() const {
  if (!whole_)
    mappings_ = parse_all(read_maps(process_));
  whole_ = true;
  return mappings_;
}

// The mapping around an address, by a query of its own.
const Mapping* AddressSpace::ask(Address a) const {
  std::expected<Mapping, int> answer = query_mapping(process_, a);
  if (answer)
    return &(asked_[answer->start] = std::move(*answer));
  if (answer.error() != ENOENT) // an older kernel
    (void)mappings();
  return nullptr;
}

const Mapping* AddressSpace::find(Address a) const {
  if (const auto shadow = shadows_.find(page_of(a)); shadow != shadows_.end())
    return &shadow->second;
  if (auto it = asked_.upper_bound(a); it != asked_.begin() && (--it)->second.contains(a))
    return &it->second; // an answer stays, whatever is read later
  if (!whole_)
    if (const Mapping* const answer = ask(a); answer != nullptr || !whole_)
      return answer;
  const auto it = std::upper_bound(mappings_.begin(), mappings_.end(), a,
                                   [](Address at, const Mapping& m) { return at < m.end; });
  return it != mappings_.end() && it->contains(a) ? &*it : nullptr;
}

std::size_t AddressSpace::writable_executable_bytes() const {
  std::size_t total = 0;
  for (const Mapping& m : mappings())
    if (m.writable && m.executable)
      total += m.bytes();
  return total;
}

} // namespace proberace
