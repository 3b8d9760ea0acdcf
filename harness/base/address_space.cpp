#include "harness/base/address_space.h"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <unistd.h>

namespace proberace {

namespace {

std::string read_maps(pid_t process) {
  std::string text;
  const std::string file = process == 0 ? "/proc/self/maps" : fmt::format("/proc/{}/maps", process);
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return text;
  char chunk[16384];
  for (ssize_t n; (n = ::read(fd, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
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
  m.device = major << 20 | take(line, 16);
  m.inode = take(line, 10);
  const std::size_t path = line.find_first_not_of(' ');
  if (path != std::string_view::npos)
    m.path = line.substr(path);
  return m;
}

} // namespace

AddressSpace AddressSpace::read(pid_t process) {
  AddressSpace space;
  const std::string text = read_maps(process);
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t eol = rest.find('\n');
    if (eol == std::string_view::npos)
      break;
    space.mappings_.push_back(parse(rest.substr(0, eol)));
    rest.remove_prefix(eol + 1);
  }
  return space;
}

const Mapping* AddressSpace::find(Address a) const noexcept {
  if (const auto shadow = shadows_.find(page_of(a)); shadow != shadows_.end())
    return &shadow->second;
  const auto it = std::upper_bound(mappings_.begin(), mappings_.end(), a,
                                   [](Address at, const Mapping& m) { return at < m.end; });
  return it != mappings_.end() && it->contains(a) ? &*it : nullptr;
}

std::size_t AddressSpace::writable_executable_bytes() const noexcept {
  std::size_t total = 0;
  for (const Mapping& m : mappings_)
    if (m.writable && m.executable)
      total += m.bytes();
  return total;
}

} // namespace proberace
