// Acts that take the kernel: children that execute a body, and permissions of the probed page.
#include "stress/code/mailbox.h"
#include "stress/scenario/empty_program.h"
#include "stress/scenario/program_properties.h"
#include "stress/scenario/program_run.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

void ProgramRun::judge_child(std::size_t thread, std::size_t site, pid_t child, const char* what) {
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child > 0 && status != 0) // none, where the machine has no more processes
    note(thread,
         what == std::string_view("vforked") ? broken_property::kVforkSafe : broken_property::kForkSafe,
         fmt::format("a {} child that executed site {} ({}) {}", what, site, program_.bodies[site].body,
                     WIFSIGNALED(status) ? fmt::format("died of SIG{}", sigabbrev_np(WTERMSIG(status)))
                                         : "had a wrong result"));
}

// The child counts in memory of its own (H72), and runs whatever is armed (H27). It is no part of a
// controlled run: all of it is one step.
void ProgramRun::fork_and_execute(std::size_t thread, std::size_t site, bool exec) noexcept {
  const pid_t child = ::fork();
  if (child == 0) {
    conductor_.forked();
    Mailbox mailbox;
    mailbox.ticket = 1;
    const PlacedBody& body = text_.bodies()[site];
    const bool right = proberace_call_body(bytes_at(body.entry), 1, 1, &mailbox) == expected_result(1);
    if (right && exec)
      become_empty_program();
    ::_exit(right && !exec ? 0 : 1);
  }
  judge_child(thread, site, child, exec ? "forked (and exec'ed)" : "forked");
}

// On this thread's stack and thread-local storage, in its place (H28): a controlled run takes it for the
// thread. Whether its hits are counted, and as whose, nothing says.
void ProgramRun::vfork_and_execute(std::size_t thread, std::size_t site) noexcept {
  Tally& tally = scratch_.tallies[ProgramScratch::nested_row(thread)][site];
  ++tally.started;
  Mailbox mailbox;
  mailbox.ticket = 1;
  const PlacedBody& body = text_.bodies()[site];
  const pid_t child = ::vfork();
  if (child == 0)
    ::_exit(proberace_call_body(bytes_at(body.entry), 1, 1, &mailbox) == expected_result(1) ? 0 : 1);
  judge_child(thread, site, child, "vforked");
}

// As it is: what the program says of its own code's pages must neither fail nor take a probe away (H15).
void ProgramRun::protect(std::size_t thread, std::size_t site) {
  const Address page = page_of(sites_[site].address);
  if (::mprotect(bytes_at(page), kPageBytes, PROT_READ | PROT_EXEC) != 0)
    note(thread, broken_property::kMprotect,
         fmt::format("mprotect of the page of site {} ({}): {}", site, program_.bodies[site].body,
                     strerrordesc_np(errno)));
}

} // namespace proberace
