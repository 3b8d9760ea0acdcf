// The hit log: what goes in comes out, in order, from every thread; what finds no room is told of; what is
// cut out or changed afterwards is found.
#include "harness/base/sanitizer.h"
#include "harness/judge/site_state.h"
#include "harness/log/hit_log.h"
#include "harness/log/hit_log_check.h"

#include <atomic>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

class HitLogs : public testing::Test {
protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / ("proberace-hit-log-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string fresh() { return directory_ / std::to_string(++files_); }

  // A log as a correct strategy leaves it: one site, armed and cleared again by thread 0, executed by
  // thread 1.
  std::string sound_log(std::size_t windows, std::size_t executions) {
    const std::string path = fresh();
    auto log = HitLog::create(path, {.threads = 2});
    EXPECT_TRUE(log.has_value());
    RecordRing& controller = *(*log)->join();
    RecordRing& worker = *(*log)->join();
    SiteState state;
    std::uint64_t ticket = 0;
    for (std::size_t w = 0; w < windows; ++w) {
      for (std::size_t n = 0; n < executions; ++n) {
        worker.append(RecordKind::Begin, 0, ++ticket, state.read());
        if (SiteState::armed(state.read()))
          worker.append(RecordKind::Hit, 0, ticket);
        worker.append(RecordKind::End, 0, ticket, state.read());
      }
      state.begin();
      controller.append(RecordKind::Operated, 0, 0, state.end(true));
    }
    EXPECT_TRUE((*log)->close().has_value());
    return path;
  }

  std::filesystem::path directory_;
  int files_ = 0;
};

LogCheck checked(const std::string& path) {
  const auto log = HitLogReader::open(path);
  EXPECT_TRUE(log.has_value());
  return log ? check_log(*log) : LogCheck{};
}

void cut(const std::string& path, std::size_t at, std::size_t bytes) {
  std::ifstream in(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(in)), {});
  ASSERT_LE(at + bytes, content.size());
  content.erase(at, bytes);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

TEST_F(HitLogs, KeepEveryRecordOfEveryThreadInItsOrder) {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint64_t kEach = 5 * kBlockRecords + 7;
  for (const bool use_io_uring : {true, false}) {
    const std::string path = fresh();
    auto log =
        HitLog::create(path, {.threads = kThreads, .blocks_per_thread = 2, .use_io_uring = use_io_uring});
    ASSERT_TRUE(log.has_value());
    {
      std::vector<std::jthread> threads;
      for (std::size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&] {
          RecordRing& ring = *(*log)->join();
          for (std::uint64_t n = 0; n < kEach; ++n)
            ring.append(RecordKind::Begin, n % 3, n, n * n);
        });
    }
    EXPECT_EQ((*log)->join(), nullptr) << "all rings are taken";
    const auto totals = (*log)->close();
    ASSERT_TRUE(totals.has_value());
    EXPECT_EQ(totals->records, kThreads * kEach);
    EXPECT_EQ(totals->lost, 0U);
    EXPECT_EQ(totals->bytes, std::filesystem::file_size(path));
    // Only if there is an io_uring: a container may forbid it.
    EXPECT_TRUE(use_io_uring || totals->way == AsyncFile::Way::Write);

    const auto back = HitLogReader::open(path);
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(back->damage().empty());
    ASSERT_EQ(back->threads(), kThreads);
    for (std::size_t t = 0; t < kThreads; ++t) {
      std::uint64_t n = 0;
      bool right = true;
      back->for_each(t, [&](const HitRecord& r) {
        right = right && r.kind == RecordKind::Begin && r.serial == n && r.ticket == n && r.site == n % 3 &&
                r.state == n * n;
        ++n;
      });
      EXPECT_EQ(n, kEach);
      EXPECT_TRUE(right);
    }
  }
}

// First nobody empties the ring, then somebody does, and the thread continues.
TEST(RecordRings, TellOfWhatFoundNoRoom) {
  constexpr std::uint64_t kAll = 3 * kBlockRecords;
  auto blocks = std::make_unique<LogBlock[]>(2);
  RecordRing ring({blocks.get(), 2}, 0, WhenFull::Drop);
  for (std::uint64_t n = 0; n < kAll; ++n)
    ring.append(RecordKind::Hit, 0, n);
  const std::uint64_t kept = ring.filled();
  EXPECT_LE(kept, 2 * kBlockRecords);
  EXPECT_EQ(kept + ring.dropped(), kAll);
  EXPECT_EQ(ring.untold(), ring.dropped());
  ring.release(1);
  ring.append(RecordKind::Hit, 0, kAll);
  ASSERT_EQ(ring.filled(), kept + 2);
  const auto record = [&](std::uint64_t n) {
    return ring.block(n / kBlockRecords).records[n % kBlockRecords];
  };
  EXPECT_EQ(record(kept).kind, RecordKind::Lost);
  EXPECT_EQ(record(kept).state, ring.dropped());
  EXPECT_EQ(record(kept + 1).ticket, kAll);
  EXPECT_EQ(ring.untold(), 0U);
}

RecordRing* interrupted_ring = nullptr;
std::atomic<std::uint64_t> from_handler{0};

// A hit may come inside an append, at any instruction of it.
TEST_F(HitLogs, TakeRecordsOfSignalHandlersInsideAnAppend) {
  if (kThreadSanitizer)
    GTEST_SKIP() << "not under ThreadSanitizer (sanitizer.h)";
  const std::string path = fresh();
  auto log = HitLog::create(path, {.threads = 1});
  ASSERT_TRUE(log.has_value());
  interrupted_ring = (*log)->join();
  from_handler = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {
    for (int i = 0; i < 3; ++i)
      interrupted_ring->append(RecordKind::Hit, 1, from_handler.fetch_add(1));
  };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, &before);
  const itimerval often{{0, 50}, {0, 50}};
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  std::uint64_t appended = 0;
  for (; appended < 2'000'000 || from_handler < 300; ++appended)
    interrupted_ring->append(RecordKind::Begin, 0, appended);
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  ASSERT_TRUE((*log)->close().has_value());

  const auto back = HitLogReader::open(path);
  ASSERT_TRUE(back.has_value());
  // A handler that interrupts an append of its own thread cannot wait for room: what it drops is told of.
  std::uint64_t serial = 0;
  std::uint64_t next[2] = {0, 0};
  std::uint64_t handled = 0;
  std::uint64_t lost = 0;
  bool right = true;
  back->for_each(0, [&](const HitRecord& r) {
    right = right && r.serial == serial++ && r.site < 2;
    if (r.kind == RecordKind::Lost) {
      lost += r.state;
      return;
    }
    right = right && (r.site == 1 ? r.ticket >= next[1] : r.ticket == next[0]);
    handled += r.site;
    next[r.site] = r.ticket + 1;
  });
  EXPECT_TRUE(right) << "near record " << serial;
  EXPECT_EQ(next[0], appended);
  EXPECT_EQ(handled + lost, from_handler);
}

TEST_F(HitLogs, OfASoundRunHold) {
  const LogCheck c = checked(sound_log(10, 1000));
  EXPECT_TRUE(c.held()) << c.faults[0];
  EXPECT_EQ(c.executions, 10'000U);
  EXPECT_EQ(c.must, 5000U);
  EXPECT_EQ(c.must_not, 5000U);
  EXPECT_EQ(c.hits, 5000U);
  EXPECT_EQ(c.operations, 10U);
}

// Any record, of any thread, cut out of the file: found, and named.
TEST_F(HitLogs, CutByHandAreFound) {
  const std::string sound = sound_log(4, 1500); // more than one block
  const std::size_t blocks = (std::filesystem::file_size(sound) - 2 * kHeaderBytes) / kBlockBytes;
  ASSERT_GE(blocks, 3U);
  const auto original = HitLogReader::open(sound);
  ASSERT_TRUE(original.has_value());
  for (std::size_t b = 0; b < blocks; ++b) {
    std::ifstream in(sound, std::ios::binary);
    BlockHeader header;
    in.seekg(static_cast<std::streamoff>(kHeaderBytes + b * kBlockBytes));
    in.read(reinterpret_cast<char*>(&header), sizeof header);
    for (const std::uint32_t record : {0U, header.count / 2, header.count - 1}) {
      const std::string path = fresh();
      std::filesystem::copy_file(sound, path);
      cut(path, kHeaderBytes + b * kBlockBytes + (record + 1) * sizeof(HitRecord), sizeof(HitRecord));
      const LogCheck c = checked(path);
      EXPECT_FALSE(c.held());
      const std::string missing = fmt::format("thread {}: records {} to {} are missing", header.thread,
                                              header.first + record, header.first + record);
      EXPECT_TRUE(std::ranges::find(c.faults, missing) != c.faults.end())
          << "block " << b << ", record " << record << ": " << c.faults[0];
    }
  }
}

// The same with serial numbers and counts corrected afterwards: then the executions no longer match.
TEST_F(HitLogs, WithoutOneHitSayWhichExecutionLostIt) {
  const std::string path = fresh();
  auto log = HitLog::create(path, {.threads = 1});
  ASSERT_TRUE(log.has_value());
  RecordRing& ring = *(*log)->join();
  SiteState state;
  state.begin();
  ring.append(RecordKind::Operated, 0, 0, state.end(true));
  for (std::uint64_t ticket = 1; ticket <= 3; ++ticket) {
    ring.append(RecordKind::Begin, 0, ticket, state.read());
    for (std::uint64_t hits = 0; hits != ticket - 1; ++hits) // none, one, two
      ring.append(RecordKind::Hit, 0, ticket);
    ring.append(RecordKind::End, 0, ticket, state.read());
  }
  state.begin(); // and an operation that no record tells of
  (void)state.end(true);
  ring.append(RecordKind::Begin, 0, 4, state.read());
  ring.append(RecordKind::Hit, 0, 4);
  ring.append(RecordKind::End, 0, 4, state.read());
  ring.append(RecordKind::Hit, 0, 4);
  ASSERT_TRUE((*log)->close().has_value());
  const LogCheck c = checked(path);
  ASSERT_EQ(c.fault_count, 5U);
  EXPECT_NE(c.faults[0].find("execution 1 of site 0 lost-hit"), std::string::npos) << c.faults[0];
  EXPECT_NE(c.faults[1].find("execution 3 of site 0 double-hit"), std::string::npos) << c.faults[1];
  EXPECT_NE(c.faults[2].find("execution 4 of site 0 spurious-hit"), std::string::npos) << c.faults[2];
  EXPECT_NE(c.faults[3].find("is not being executed"), std::string::npos) << c.faults[3];
  EXPECT_NE(c.faults[4].find("no operation of the log left it so"), std::string::npos) << c.faults[4];
}

TEST_F(HitLogs, OfAProcessThatWasKilledKeepWhatWasFlushed) {
  if (kThreadSanitizer)
    GTEST_SKIP() << "not under ThreadSanitizer (sanitizer.h)";
  const std::string path = fresh();
  const pid_t child = ::fork();
  if (child == 0) {
    auto log = HitLog::create(path, {.threads = 1});
    if (!log)
      ::_exit(1);
    RecordRing& ring = *(*log)->join();
    for (std::uint64_t n = 0; n < 10'000; ++n)
      ring.append(RecordKind::Operated, 0, 0, n);
    for (;;) // flushed by and by; then it is killed
      ::pause();
  }
  const auto there = [&] {
    const auto log = HitLogReader::open(path);
    return log && check_log(*log).records == 10'000;
  };
  int status = 0;
  while (!there() && ::waitpid(child, &status, WNOHANG) == 0)
    std::this_thread::sleep_for(HitLog::kFlush);
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto log = HitLogReader::open(path);
  ASSERT_TRUE(log.has_value());
  EXPECT_FALSE(log->trailer().has_value());
  const LogCheck c = check_log(*log);
  EXPECT_EQ(c.records, 10'000U);
  ASSERT_EQ(c.fault_count, 1U);
  EXPECT_NE(c.faults[0].find("not closed"), std::string::npos) << c.faults[0];
}

TEST_F(HitLogs, AreRefusedWhereTheyAreNone) {
  const std::string path = fresh();
  EXPECT_FALSE(HitLogReader::open(path).has_value()) << "not there";
  std::ofstream(path) << std::string(2 * kHeaderBytes, 'x');
  EXPECT_FALSE(HitLogReader::open(path).has_value());
  EXPECT_FALSE(HitLog::create(path, {}).has_value()) << "there already";
}

struct Told {
  RecordKind kind;
  std::uint64_t ticket = 0;
  std::uint64_t state = 0;
};

// What a correct strategy's threads tell of one site, as in sound_log.
struct Account {
  std::vector<Told> controller, worker;

  static Account sound(std::size_t windows, std::size_t executions) {
    Account run;
    SiteState state;
    std::uint64_t ticket = 0;
    for (std::size_t w = 0; w < windows; ++w) {
      for (std::size_t n = 0; n < executions; ++n) {
        run.worker.push_back({RecordKind::Begin, ++ticket, state.read()});
        if (SiteState::armed(state.read()))
          run.worker.push_back({RecordKind::Hit, ticket});
        run.worker.push_back({RecordKind::End, ticket, state.read()});
      }
      state.begin();
      run.controller.push_back({RecordKind::Operated, 0, state.end(true)});
    }
    return run;
  }

  // The place of one of the worker's records of that kind, drawn; of those that `accepts` takes.
  template <typename Accepts> std::size_t one_of(RecordKind kind, Accepts&& accepts) const {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < worker.size(); ++i)
      if (worker[i].kind == kind && accepts(worker[i]))
        places.push_back(i);
    return *rc::gen::elementOf(places);
  }
  std::size_t one_of(RecordKind kind) const {
    return one_of(kind, [](const Told&) { return true; });
  }
  void drop(std::size_t i) { worker.erase(worker.begin() + static_cast<std::ptrdiff_t>(i)); }
  void add(std::size_t i, const Told& told) {
    worker.insert(worker.begin() + static_cast<std::ptrdiff_t>(i), told);
  }
};

// One thing of a right log is made wrong.
RC_GTEST_FIXTURE_PROP(HitLogs, WithOneWrongRecordDoNotHold, ()) {
  Account run = Account::sound(4, 3);
  const int wrong = *rc::gen::inRange(0, 8);
  RC_TAG(wrong);
  switch (wrong) {
  case 0: run.drop(run.one_of(RecordKind::Hit)); break;
  case 1: {
    const std::size_t hit = run.one_of(RecordKind::Hit);
    run.add(hit, Told(run.worker[hit]));
    break;
  }
  case 2: {
    const std::size_t begin =
        run.one_of(RecordKind::Begin, [](const Told& t) { return !SiteState::armed(t.state); });
    run.add(begin + 1, {RecordKind::Hit, run.worker[begin].ticket});
    break;
  }
  case 3: run.worker[run.one_of(RecordKind::Hit)].ticket += 1; break;
  case 4: run.drop(run.one_of(RecordKind::Begin)); break;
  case 5: {
    // The last thread's last execution may be one that did not end.
    const std::uint64_t last = run.worker.back().ticket;
    run.drop(run.one_of(RecordKind::End, [last](const Told& t) { return t.ticket != last; }));
    break;
  }
  case 6: {
    // A state that no operation has left.
    const std::size_t begin = run.one_of(RecordKind::Begin);
    SiteState later;
    for (int n = 0; n < 100 + (SiteState::armed(run.worker[begin].state) ? 1 : 0); ++n) {
      later.begin();
      later.end(true);
    }
    for (Told& t : run.worker)
      if (t.ticket == run.worker[begin].ticket)
        t.state = later.read();
    break;
  }
  default: run.controller.erase(run.controller.begin() + *rc::gen::inRange(0, 3)); // others were seen
  }
  const std::string path = fresh();
  {
    auto log = HitLog::create(path, {.threads = 2});
    RC_ASSERT(log.has_value());
    for (const auto* told : {&run.controller, &run.worker}) {
      RecordRing& ring = *(*log)->join();
      for (const Told& t : *told)
        ring.append(t.kind, 0, t.ticket, t.state);
    }
    RC_ASSERT((*log)->close().has_value());
  }
  const auto log = HitLogReader::open(path);
  RC_ASSERT(log.has_value());
  RC_ASSERT(!check_log(*log).held());
}

// Bytes changed at random: the reader says so or reads on, and never falls.
RC_GTEST_FIXTURE_PROP(HitLogs, SurviveAnyDamage, ()) {
  const std::string path = sound_log(2, 50);
  const auto size = std::filesystem::file_size(path);
  const auto at = *rc::gen::inRange<std::size_t>(0, size);
  const int damage = *rc::gen::inRange(0, 3);
  if (damage == 0) {
    std::filesystem::resize_file(path, at);
  } else if (damage == 1) {
    cut(path, at, *rc::gen::inRange<std::size_t>(0, size - at + 1));
  } else {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(*rc::gen::arbitrary<char>());
  }
  if (const auto log = HitLogReader::open(path))
    (void)check_log(*log);
}

} // namespace

} // namespace proberace
