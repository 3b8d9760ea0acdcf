#include "stress/hunt/campaign.h"

#include "harness/cell/cell.h"
#include "harness/machine/pin_plan.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{200};

// Shared by the processes, in memory that fork does not copy.
struct Shared {
  std::atomic<std::uint64_t> next;
  std::atomic<std::uint64_t> finished;
  std::atomic<std::uint64_t> broken;
  std::atomic<bool> failed;
  ErrorKind kind;
  char message[512];

  void fail(const Error& error) {
    if (failed.exchange(true, std::memory_order_relaxed)) // read for good when the process has ended
      return;
    kind = error.kind;
    const std::string text = describe(error);
    std::strncpy(message, text.c_str(), sizeof message - 1);
  }
};

class SharedMemory {
public:
  SharedMemory()
      : memory_(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() {
    if (there())
      ::munmap(memory_, sizeof(Shared));
  }
  bool there() const { return memory_ != MAP_FAILED; }
  Shared& operator*() const { return *static_cast<Shared*>(memory_); }

private:
  void* memory_;
};

struct Work {
  const CaseDirectory& directory;
  const CampaignOptions& options;
  const RunCase& run_case;
  const std::map<std::uint64_t, Json>& done;
  Clock::time_point until;
  Shared& shared;
  std::vector<int> cpus = allowed_cpus();

  // In a process of its own.
  void run(std::size_t job) const {
    if (options.pinned && options.jobs > 1 && !cpus.empty())
      (void)pin_this_thread(cpus[job % cpus.size()]); // only slower, where it cannot
    start_nursery();
    CaseDirectory::Writer writer = directory.writer();
    while (!shared.failed.load(std::memory_order_relaxed) && Clock::now() < until) {
      const std::uint64_t seed = shared.next.fetch_add(1, std::memory_order_relaxed); // counts only
      if (seed > options.seeds.last)
        return;
      if (done.contains(seed))
        continue;
      const auto result = run_case(seed);
      const Status kept = result ? writer.append(*result) : std::unexpected(result.error());
      if (!kept)
        return shared.fail(kept.error());
      shared.finished.fetch_add(1, std::memory_order_relaxed);
      if (result->value("broken", false))
        shared.broken.fetch_add(1, std::memory_order_relaxed);
    }
  }
};

pid_t start(const Work& work, std::size_t job) {
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process != 0)
    return process;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a hunt that is killed is killed as a whole
  if (::getppid() != parent)
    ::_exit(1);
  work.run(job);
  std::exit(0); // as the program ends: the nursery is told
}

} // namespace

Status run_campaign(const CaseDirectory& directory, const CampaignOptions& options, const RunCase& run_case,
                    const std::function<void(const CampaignProgress&)>& progress) {
  const auto there = CaseDirectory::read(directory.path());
  if (!there)
    return std::unexpected(there.error());
  const SharedMemory memory;
  if (!memory.there())
    return std::unexpected(system_error("no memory to share with the hunt's processes", errno));
  Shared& shared = *memory;
  shared.next.store(options.seeds.first, std::memory_order_relaxed); // before the forks
  const Work work{directory, options, run_case, there->done, Clock::now() + options.budget, shared};

  std::size_t running = 0;
  for (; running < options.jobs; ++running)
    if (start(work, running) < 0) {
      shared.fail(system_error("cannot fork a process for the hunt", errno));
      break;
    }
  while (running != 0) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended == 0) {
      std::this_thread::sleep_for(kLook);
      progress(
          {shared.finished.load(std::memory_order_relaxed), shared.broken.load(std::memory_order_relaxed)});
      continue;
    }
    if (ended < 0 && errno == EINTR)
      continue;
    --running;
    if (ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
      shared.fail(Error{ErrorKind::System, {}, "a process of the hunt died; what it had finished is kept"});
  }
  if (shared.failed.load(std::memory_order_relaxed)) // its writer has ended
    return std::unexpected(Error{shared.kind, {}, shared.message});
  return {};
}

} // namespace proberace
