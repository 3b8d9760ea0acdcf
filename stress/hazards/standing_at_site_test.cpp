// H09: a thread that stands exactly at the site, nothing of it executed, while the probe comes and while it
// goes. The instruction before the site is a system call that the thread is blocked in.
#include "stress/code/probed_text.h"
#include "stress/testing/expect_cell.h"

#include <atomic>
#include <fmt/format.h>
#include <fstream>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

constexpr std::uint8_t kSystemCall[] = {0x31, 0xc0, 0x0f, 0x05, 0x90, 0xc3}; // xor eax,eax; syscall; nop; ret
constexpr std::ptrdiff_t kSiteOffset = 4;
using BlockingRead = long (*)(int descriptor, void* buffer, std::size_t bytes);

bool blocked_in_read(pid_t thread) {
  long number = -1;
  return (std::ifstream(fmt::format("/proc/self/task/{}/syscall", thread)) >> number) && number == SYS_read;
}

struct Sleeper {
  explicit Sleeper(BlockingRead read_one) {
    if (::pipe(pipe) != 0)
      std::abort();
    std::atomic<pid_t> id{0};
    thread = std::jthread([this, read_one, &id] {
      id.store(::gettid(), std::memory_order_release); // pairs with the load below
      char byte = 0;
      result = read_one(pipe[0], &byte, 1);
    });
    pid_t tid = 0;
    while ((tid = id.load(std::memory_order_acquire)) == 0 || !blocked_in_read(tid)) // pairs with the store
      ::usleep(100);
  }
  long wake() {
    (void)!::write(pipe[1], "x", 1);
    thread.join();
    ::close(pipe[0]);
    ::close(pipe[1]);
    return result;
  }

  int pipe[2] = {};
  long result = 0;
  std::jthread thread;
};

Verdict standing_at_site(const Json& parameters, Arena&) {
  auto text = Text::of_bytes(kSystemCall);
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!text || !prober)
    return verdict_of(text ? prober.error() : text.error());
  target.add_function(text->start(), sizeof kSystemCall, "blocked");
  const auto read_one = reinterpret_cast<BlockingRead>(bytes_at(text->start()));
  const Site site = *target.site_at(text->start() + kSiteOffset);
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  Sleeper before_insertion(read_one);
  if (const Status inserted = first_error((*prober)->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  if (const long result = before_insertion.wake(); result != 1)
    return broken("wrong-result", fmt::format("the read that insertion met returned {}", result));
  if (const std::uint64_t hits = (*prober)->hits(site); hits != 1)
    return broken("wrong-count",
                  fmt::format("it stood at the site when insert returned: {} hits of 1", hits));
  Sleeper before_removal(read_one);
  if (const Status removed = first_error((*prober)->remove({{site}})); !removed)
    return verdict_of(removed.error());
  if (const long result = before_removal.wake(); result != 1)
    return broken("wrong-result", fmt::format("the read that removal met returned {}", result));
  if (const std::uint64_t hits = (*prober)->hits(site); hits != 1)
    return broken("wrong-count",
                  fmt::format("it stood at the site when remove returned: {} hits of 1", hits));
  return held();
}

const bool standing_at_site_test_registered = register_experiment("test/standing-at-site", &standing_at_site);

class StandingAtSite : public testing::TestWithParam<std::string> {};

} // namespace

// Fails if a stopper steps threads over the site they stand at, or lets them execute what they had fetched.
TEST_P(StandingAtSite, H09_AThreadThatHasNotExecutedItIsCounted) {
  CellSpec spec;
  spec.experiment = "test/standing-at-site";
  spec.parameters = Json{{"strategy", GetParam()}};
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
}

// The text is a library's, and the site's first byte an int3; a jump's own tests are H03's.
std::vector<std::string> by_trap_on_file_text() {
  auto names = strategies_promising({Promise::ExactCounts, Promise::FileBackedText});
  std::erase_if(names, takes_no_trap);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Strategies, StandingAtSite, testing::ValuesIn(by_trap_on_file_text()), test_name);

} // namespace proberace
