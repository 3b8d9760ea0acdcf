// The throughput of the hit log: records a second from all processing units at once until all of them are on
// disk, by io_uring, and by write(2) in three ways, on the same stream of records.
#include "harness/cell/experiment.h"
#include "harness/log/hit_log.h"
#include "harness/machine/pin_plan.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

// A path that is nobody's, and nobody's again afterwards.
class Scratch {
public:
  Scratch() : path_(std::filesystem::temp_directory_path() / fmt::format("proberace-log-{}", ::getpid())) {
    std::filesystem::remove(path_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

private:
  std::filesystem::path path_;
};

// Runs `body(index)` on a thread on each processing unit.
template <typename F> void on_all(const PinPlan& plan, F&& body) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < plan.cpus.size(); ++i)
    threads.emplace_back([&, i] {
      (void)pin_this_thread(plan.cpus[i]);
      body(i);
    });
}

// The result of writing a stream of records.
struct Stream {
  std::uint64_t records = 0;
  std::uint64_t lost = 0;
  double seconds = 0;      // until all is on disk
  double longest_held = 0; // of one append, in microseconds: what the executing thread feels
  double per_second() const { return static_cast<double>(records) / seconds; }
};

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Each thread appends so many, at `per_second` of all threads together; 0 for as fast as it can. Returns the
// longest that one append took.
template <typename F>
double offer(const PinPlan& plan, std::uint64_t each, double per_second, F&& appender_of) {
  std::vector<double> longest(plan.cpus.size());
  const double ns_each = per_second == 0 ? 0 : 1e9 * static_cast<double>(plan.cpus.size()) / per_second;
  on_all(plan, [&](std::size_t thread) {
    auto append = appender_of(thread);
    const auto begin = Clock::now();
    if (ns_each == 0) {
      for (std::uint64_t n = 0; n < each; ++n)
        append(n);
      return;
    }
    for (std::uint64_t n = 0; n < each; ++n) {
      const auto due =
          begin + std::chrono::nanoseconds(static_cast<std::int64_t>(ns_each * static_cast<double>(n)));
      auto now = Clock::now();
      while (now < due)
        now = Clock::now();
      append(n);
      longest[thread] = std::max(longest[thread], since(now) * 1e6);
    }
  });
  return *std::ranges::max_element(longest);
}

std::expected<Stream, Error> by_log(const PinPlan& plan, std::uint64_t each, double per_second,
                                    bool use_io_uring) {
  const Scratch scratch;
  auto log = HitLog::create(
      scratch.path(),
      {.threads = plan.cpus.size(),
       .when_full = per_second == 0 ? WhenFull::Wait : WhenFull::Drop, // what would wait is lost
       .use_io_uring = use_io_uring});
  if (!log)
    return std::unexpected(log.error());
  const auto begin = Clock::now();
  const double longest = offer(plan, each, per_second, [&](std::size_t) {
    return [ring = (*log)->join()](std::uint64_t n) { ring->append(RecordKind::Hit, 0, n); };
  });
  const auto totals = (*log)->close();
  if (!totals)
    return std::unexpected(totals.error());
  if (use_io_uring && totals->way == AsyncFile::Way::Write)
    return std::unexpected(
        Error{ErrorKind::MachineLacks, {}, "no io_uring (seccomp, or kernel.io_uring_disabled)"});
  return Stream{each * plan.cpus.size() - totals->lost, totals->lost, since(begin), longest};
}

// Each thread writes what it has as soon as it has `batch` records.
std::expected<Stream, Error> by_write(const PinPlan& plan, std::uint64_t each, double per_second,
                                      std::size_t batch) {
  const Scratch scratch;
  const int file = ::open(scratch.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0)
    return std::unexpected(system_error("cannot create a log", errno));
  std::atomic<int> error{0};
  std::vector<std::vector<HitRecord>> filling(plan.cpus.size(), std::vector<HitRecord>(batch));
  const auto begin = Clock::now();
  const double longest = offer(plan, each, per_second, [&](std::size_t thread) {
    return [&, &records = filling[thread]](std::uint64_t n) {
      records[n % batch] = {.time = __builtin_ia32_rdtsc(),
                            .serial = static_cast<std::uint32_t>(n),
                            .ticket = static_cast<std::uint32_t>(n),
                            .kind = RecordKind::Hit};
      const std::size_t bytes = batch * sizeof(HitRecord);
      if ((n + 1) % batch != 0)
        return;
      if (const ssize_t written = ::write(file, records.data(), bytes);
          written != static_cast<ssize_t>(bytes))
        error.store(written < 0 ? errno : ENOSPC,
                    std::memory_order_relaxed); // read when the threads have ended
    };
  });
  if (::fsync(file) != 0)
    error = errno;
  ::close(file);
  if (error != 0)
    return std::unexpected(system_error("cannot write a log", error));
  return Stream{each / batch * batch * plan.cpus.size(), 0, since(begin), longest};
}

// The log is to take so many without loss; the rate at which ways of writing are compared by how long they
// hold a thread up.
constexpr double kPaced = 5e6;

Verdict run_log(const Json& parameters, Arena&) {
  const auto plan = make_pin_plan("across-cores", parameters.at("threads"));
  if (!plan)
    return verdict_of(plan.error());
  const std::uint64_t each = parameters.at("records").get<std::uint64_t>() / plan->cpus.size();
  const auto ring = by_log(*plan, each, 0, true);
  const auto drained = by_log(*plan, each, 0, false);
  const auto blocks = by_write(*plan, each, 0, kBlockRecords);
  const auto single = by_write(*plan, each / 16, 0, 1);
  const auto paced = by_log(*plan, each, kPaced, true);
  const auto paced_blocks = by_write(*plan, each, kPaced, kBlockRecords);
  for (const auto* stream : {&ring, &drained, &blocks, &single, &paced, &paced_blocks})
    if (!*stream)
      return verdict_of(stream->error());
  Verdict v;
  v.summary = "measured";
  v.data = Json{{"per_second", ring->per_second()},
                {"lost", ring->lost},
                {"write_drained_per_second", drained->per_second()},
                {"write_blocks_per_second", blocks->per_second()},
                {"write_each_per_second", single->per_second()},
                {"to_write", ring->per_second() / blocks->per_second()},
                {"to_write_each", ring->per_second() / single->per_second()},
                {"paced_per_second", paced->per_second()},
                {"paced_lost", paced->lost},
                {"paced_longest_us", paced->longest_held},
                {"paced_write_longest_us", paced_blocks->longest_held}};
  return v;
}

const bool log_experiment_registered = register_experiment("bench/log", &run_log);

} // namespace

} // namespace proberace
