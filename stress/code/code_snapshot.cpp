#include "stress/code/code_snapshot.h"

#include "harness/base/process_memory.h"
#include "harness/base/signal_action.h"

#include <algorithm>
#include <cstring>
#include <dirent.h>
#include <fmt/format.h>

namespace proberace {

namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (directory != nullptr && ::readdir(directory) != nullptr)
    ++count;
  ::closedir(directory);
  return count;
}

std::string text_of(const Mapping& m) {
  return fmt::format("{:x}-{:x} {}{}{} {:x} {}", value(m.start), value(m.end), m.readable ? 'r' : '-',
                     m.writable ? 'w' : '-', m.executable ? 'x' : '-', m.file_offset, m.path);
}

} // namespace

CodeSnapshot CodeSnapshot::of(const Text& text) {
  CodeSnapshot s;
  s.bytes.resize(text.bytes());
  read_memory(text.start(), s.bytes);
  const AddressSpace space = AddressSpace::read();
  for (const Mapping& m : space.mappings())
    if (!m.path.starts_with("[") && (m.executable || !m.path.empty()))
      s.mappings.push_back(m);
  s.descriptors = open_descriptors();
  const SignalAction action = current_signal_action(SIGTRAP);
  s.trap_action.resize(sizeof action);
  std::memcpy(s.trap_action.data(), &action, sizeof action);
  return s;
}

std::string CodeSnapshot::difference(const CodeSnapshot& later) const {
  const auto [before, after] =
      std::mismatch(bytes.begin(), bytes.end(), later.bytes.begin(), later.bytes.end());
  if (before != bytes.end())
    return fmt::format("byte {:#x} of the text was {:02x} and is {:02x}", before - bytes.begin(), *before,
                       *after);
  for (const Mapping& m : later.mappings)
    if (std::find(mappings.begin(), mappings.end(), m) == mappings.end())
      return fmt::format("a mapping is there that was not: {}", text_of(m));
  for (const Mapping& m : mappings)
    if (std::find(later.mappings.begin(), later.mappings.end(), m) == later.mappings.end())
      return fmt::format("a mapping is gone: {}", text_of(m));
  if (descriptors != later.descriptors)
    return fmt::format("{} descriptors were open, {} are", descriptors, later.descriptors);
  if (trap_action != later.trap_action)
    return "SIGTRAP's action is not what it was";
  return {};
}

} // namespace proberace
