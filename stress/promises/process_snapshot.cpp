#include "stress/promises/process_snapshot.h"

#include "harness/base/address_space.h"
#include "harness/base/threads.h"
#include "stress/code/private_pages.h"
#include "stress/promises/own_helpers.h"

#include <csignal>
#include <filesystem>

namespace proberace {

namespace {

std::vector<SignalAction> signal_actions() {
  std::vector<SignalAction> actions;
  for (int signo = 1; signo <= SIGRTMAX; ++signo)
    actions.push_back(current_signal_action(signo));
  return actions;
}

} // namespace

ProcessSnapshot ProcessSnapshot::look() {
  ProcessSnapshot l;
  const AddressSpace space = AddressSpace::read();
  for (const Mapping& m : space.mappings()) {
    if (m.path.starts_with("[heap]")) // grows when anything allocates
      continue;
    ++l.mappings;
    l.executable_mappings += m.executable ? 1 : 0;
    if (m.executable && m.file_backed() && !m.writable)
      l.private_text_pages += private_pages(m.start, static_cast<std::size_t>(m.end - m.start));
  }
  l.writable_executable_bytes = static_cast<std::int64_t>(space.writable_executable_bytes());
  l.actions = signal_actions();
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++l.descriptors;
  l.processes = static_cast<std::int64_t>(own_helpers().size());
  return l;
}

ProcessSnapshot ProcessSnapshot::operator-(const ProcessSnapshot& before) const {
  ProcessSnapshot d = *this;
  for_each_pair(d, before, [](std::int64_t& now, std::int64_t then) { now -= then; });
  for (std::size_t i = 0; i < actions.size(); ++i)
    d.signal_handlers += actions[i] != before.actions[i] ? 1 : 0;
  return d;
}

} // namespace proberace
