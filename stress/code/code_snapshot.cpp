#include "stress/code/code_snapshot.h"

#include "harness/base/process_memory.h"
#include "harness/base/threads.h"
#include "stress/code/private_pages.h"

#include <algorithm>
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

// Taken by the C library when it needs them first (nptl(7)).
bool is_libcs(int signo) {
  return signo >= 32 && signo < SIGRTMIN;
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
    if ((!m.path.starts_with("[") || m.path == "[vdso]") && (m.executable || !m.path.empty()))
      s.mappings.push_back(m);
  s.private_pages = proberace::private_pages(text.start(), text.bytes());
  s.descriptors = open_descriptors();
  s.threads = threads_of_this_process().size();
  for (int signo = 1; signo <= SIGRTMAX; ++signo)
    s.actions.push_back(is_libcs(signo) ? SignalAction{} : current_signal_action(signo));
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
  for (std::size_t n = 0; n < actions.size(); ++n)
    if (actions[n] != later.actions[n])
      return fmt::format("the action of signal {} is not what it was", n + 1);
  if (threads < later.threads)
    return fmt::format("{} threads were there, {} are", threads, later.threads);
  return {};
}

} // namespace proberace
