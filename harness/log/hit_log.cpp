#include "harness/log/hit_log.h"

#include "harness/base/failure.h"
#include "harness/base/json_fields.h"
#include "harness/log/log_pages.h"
#include "harness/log/ring_drain.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <csignal>
#include <deque>
#include <sys/mman.h>
#include <thread>

namespace proberace {

namespace {

constexpr unsigned kDepth = 16;
constexpr std::chrono::microseconds kPoll{500};

// Anonymous memory for all rings, in one piece.
class Blocks {
public:
  explicit Blocks(std::size_t count)
      : count_(count), memory_(::mmap(nullptr, count * kBlockBytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {}
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() {
    if (there())
      ::munmap(memory_, count_ * kBlockBytes);
  }
  bool there() const noexcept { return memory_ != MAP_FAILED; }
  std::span<LogBlock> all() const noexcept { return {static_cast<LogBlock*>(memory_), count_}; }

private:
  std::size_t count_;
  void* memory_;
};

struct Page {
  char text[kHeaderBytes];

  // False if it has no room for it.
  bool hold(const Json& content) {
    const std::string json = content.dump();
    if (json.size() >= sizeof text)
      return false;
    std::ranges::fill(text, ' ');
    std::ranges::copy(json, text);
    text[sizeof text - 1] = '\n';
    return true;
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(text)); }
};

LogClock clock_now() {
  const auto ns = std::chrono::steady_clock::now().time_since_epoch();
  return {__builtin_ia32_rdtsc(), std::chrono::duration_cast<std::chrono::nanoseconds>(ns).count()};
}

// The program's handlers are not for the thread that writes: they might wait in it for room that it is to
// make. What its own instructions raise must get through: held back, it kills.
class SignalsHeldBack {
public:
  SignalsHeldBack() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int raised : {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE})
      ::sigdelset(&all, raised);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;
  ~SignalsHeldBack() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
  sigset_t before_;
};

} // namespace

struct HitLog::State {
  Page page; // header, then trailer
  Blocks blocks;
  std::deque<RecordRing> rings;
  std::atomic<std::size_t> joined{0};
  std::optional<AsyncFile> file{};
  std::optional<RingDrain> drain{};
  std::jthread writer{}; // stopped first
  bool closed = false;

  State(std::size_t threads, std::size_t blocks_per_thread, WhenFull when_full)
      : blocks(threads * blocks_per_thread) {
    if (blocks.there())
      for (std::size_t i = 0; i < threads; ++i)
        rings.emplace_back(blocks.all().subspan(i * blocks_per_thread, blocks_per_thread),
                           static_cast<std::uint32_t>(i), when_full);
  }

  void write(const std::stop_token& stop) {
    auto flushed = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
      if (!drain->step())
        std::this_thread::sleep_for(kPoll);
      if (const auto now = std::chrono::steady_clock::now(); now - flushed >= kFlush) {
        drain->flush();
        flushed = now;
      }
    }
    drain->finish();
  }

  void put_page(std::uint64_t offset) {
    file->write(page.bytes(), offset, 0);
    while (file->ended(AsyncFile::Wait::Yes)) {
    }
  }

  std::uint64_t lost() const {
    std::uint64_t n = 0;
    for (const RecordRing& ring : rings)
      n += ring.dropped();
    return n;
  }

  LogTrailer trailer() const {
    LogTrailer trailer{lost(), {}, clock_now()};
    const std::size_t all = joined.load(std::memory_order_relaxed); // counts only
    for (std::size_t i = 0; i < all; ++i)
      trailer.threads.push_back({rings[i].filled(), rings[i].untold()});
    return trailer;
  }
};

HitLog::HitLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

HitLog::~HitLog() {
  if (!state_->closed)
    (void)close();
}

std::expected<std::unique_ptr<HitLog>, Error> HitLog::create(const std::string& path, HitLogOptions options) {
  if (options.threads > HitLogOptions::kMostThreads || !std::has_single_bit(options.blocks_per_thread) ||
      options.blocks_per_thread < 2)
    return bad_input("a log has at most {} threads, and a power of two of blocks for each",
                     HitLogOptions::kMostThreads);
  auto state = std::make_unique<State>(options.threads, options.blocks_per_thread, options.when_full);
  if (!state->blocks.there())
    return std::unexpected(system_error("no memory for the log's rings", ENOMEM));
  Json header = write_fields(LogHeader{.clock = clock_now()});
  header.update(options.about);
  if (!state->page.hold(header))
    return bad_input("what the log is about does not fit its header");
  auto file = AsyncFile::create(
      path,
      {.depth = kDepth, .use_io_uring = options.use_io_uring, .memory = std::as_bytes(state->blocks.all())});
  if (!file)
    return std::unexpected(file.error());
  state->file.emplace(std::move(*file));
  state->put_page(0);
  std::vector<RecordRing*> rings;
  for (RecordRing& ring : state->rings)
    rings.push_back(&ring);
  state->drain.emplace(rings, *state->file, kHeaderBytes);
  const SignalsHeldBack held_back; // which the new thread inherits
  state->writer = std::jthread([s = state.get()](std::stop_token stop) { s->write(stop); });
  return std::unique_ptr<HitLog>(new HitLog(std::move(state)));
}

RecordRing* HitLog::join() noexcept {
  State& s = *state_;
  std::size_t n = s.joined.load(std::memory_order_relaxed); // counts only
  while (n < s.rings.size())
    if (s.joined.compare_exchange_weak(n, n + 1, std::memory_order_relaxed))
      return &s.rings[n];
  return nullptr;
}

std::expected<HitLogTotals, Error> HitLog::close() {
  State& s = *state_;
  s.closed = true;
  s.writer.request_stop();
  s.writer.join();
  const HitLogTotals totals{s.drain->records(), s.lost(), s.drain->end() + kHeaderBytes, s.file->way()};
  (void)s.page.hold(write_fields(s.trailer())); // it has room: kMostThreads
  s.put_page(s.drain->end());
  if (const Status written = s.file->close(); !written)
    return std::unexpected(written.error());
  return totals;
}

} // namespace proberace
