// The cell of `proberace workload`: threads that run a workload's self-check while its sites are armed, all in
// one batch, and taken back.
//
// Parameters: workload, strategy, threads, plan, seed; and sites (site_ranges.h), if not all. The threads
// live before the first site is armed, and continue to run if the strategy promises that they may.
#include "harness/base/process_memory.h"
#include "harness/cell/experiment.h"
#include "harness/machine/pin_plan.h"
#include "harness/probe/registry.h"
#include "stress/code/refusal.h"
#include "stress/workload/site_ranges.h"
#include "stress/workload/workload.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unistd.h>

namespace proberace {

namespace {

using Clock = std::chrono::steady_clock;

// The threads: each calls the workload again and again, until told to stop.
class Crew {
public:
  Crew(const Workload& workload, const std::vector<int>& cpus, std::uint64_t seed)
      : workload_(workload), seed_(seed), calls_(cpus.size()) {
    for (std::size_t t = 0; t < cpus.size(); ++t)
      threads_.emplace_back([this, t, cpu = cpus[t]] { work(t, cpu); });
  }
  ~Crew() { stop(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Until every thread has begun and completed a call since now.
  void wait_for_a_call() {
    std::unique_lock lock(mutex_);
    std::vector<std::uint64_t> until(calls_);
    for (std::uint64_t& calls : until)
      calls += 2;
    changed_.wait(lock, [&] {
      for (std::size_t t = 0; t < calls_.size(); ++t)
        if (calls_[t] < until[t])
          return false;
      return true;
    });
  }
  // No thread is inside the workload until the next call of go_on.
  void hold() {
    std::unique_lock lock(mutex_);
    held_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  void go_on() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      held_ = false;
      changed_.notify_all();
    }
    for (std::thread& t : threads_)
      t.join();
    threads_.clear();
  }

  std::uint64_t calls() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : calls_)
      sum += n;
    return sum;
  }
  // "" if every call was right.
  std::string first_failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

private:
  void work(std::size_t t, int cpu) {
    (void)pin_this_thread(cpu);
    for (std::uint64_t n = 0;; ++n) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !held_; });
        if (stopping_)
          return;
        ++inside_;
      }
      const std::uint64_t seed = seed_ + n * calls_.size() + t;
      const int wrong = workload_.run(seed);
      const std::lock_guard lock(mutex_);
      --inside_;
      ++calls_[t];
      if (wrong != 0 && failure_.empty())
        failure_ = fmt::format("proberace_workload({}) returned {} on thread {}", seed, wrong, t);
      changed_.notify_all();
    }
  }

  const Workload& workload_;
  const std::uint64_t seed_;
  std::mutex mutex_; // guards what follows
  std::condition_variable changed_;
  std::vector<std::uint64_t> calls_;
  std::size_t inside_ = 0;
  bool held_ = false, stopping_ = false;
  std::string failure_;
  std::vector<std::thread> threads_;
};

struct Armed {
  std::vector<Site> sites;
  std::size_t asked = 0;
  std::map<std::string, std::map<std::string, std::uint64_t>> refused; // by reason, by mnemonic
};

std::string mnemonic_and_reason(const Error& error, std::string& mnemonic) {
  std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
  mnemonic = "?";
  if (!read_memory(error.address, bytes))
    return std::string(name(error.kind));
  const auto instruction = decode(error.address, bytes);
  if (!instruction)
    return std::string(name(error.kind));
  mnemonic = mnemonic_name(*instruction);
  return refusal_reason(error, *instruction);
}

Armed insert(Prober& prober, const std::vector<Site>& sites) {
  Armed armed;
  armed.asked = sites.size();
  const SiteResults results = prober.insert(sites);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (results[i]) {
      armed.sites.push_back(sites[i]);
      continue;
    }
    std::string mnemonic;
    const std::string reason = mnemonic_and_reason(results[i].error(), mnemonic);
    ++armed.refused[reason][mnemonic];
  }
  return armed;
}

// The bytes of all functions' mappings.
std::map<Address, std::vector<std::uint8_t>> text_of(const Target& target,
                                                     const std::vector<CodePoint>& code) {
  std::map<Address, std::vector<std::uint8_t>> text;
  const AddressSpace space = target.address_space();
  const Mapping* last = nullptr;
  for (const CodePoint& point : code) {
    if (last != nullptr && last->contains(point.address))
      continue;
    last = space.find(point.address);
    std::vector<std::uint8_t>& bytes = text[last->start];
    bytes.resize(last->bytes());
    (void)read_memory(last->start, bytes);
  }
  return text;
}

// Another process that runs one of these files; 0 if there is none. A uprobe is a place in a file and acts in
// every process that maps it: a wrong step of the kernel's (results/findings/uprobe-instructions.md) then
// harms the whole machine. Probes on libc's string functions ended every shell.
pid_t another_that_maps(const std::vector<Site>& sites) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> files;
  for (const Site& site : sites)
    files.emplace(site.device, site.inode);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto process = static_cast<pid_t>(std::atol(entry.path().filename().c_str()));
    if (process == 0 || process == ::getpid())
      continue;
    const AddressSpace space = AddressSpace::read(process);
    for (const Mapping& m : space.mappings())
      if (m.executable && files.contains({m.device, m.inode}))
        return process;
  }
  return 0;
}

Verdict run_workload(const Json& parameters, Arena& arena) {
  ThreadPoint& point = arena.point_for_this_thread();
  const std::uint64_t seed = parameters.at("seed");
  const auto workload = Workload::load(parameters.at("workload"));
  if (!workload)
    return verdict_of(workload.error());
  const auto plan = make_pin_plan(parameters.at("plan").get<std::string>(), parameters.at("threads"));
  if (!plan)
    return verdict_of(plan.error());
  const Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!prober)
    return verdict_of(prober.error());
  const Promises promises = (*prober)->promises();
  if (const int wrong = workload->run(seed); wrong != 0)
    return verdict_of(Error{
        ErrorKind::BadInput,
        {},
        fmt::format("workload {}: proberace_workload({}) returns {} without any probe; it must return 0",
                    parameters.at("workload").get<std::string>(), seed, wrong)});
  const auto code = workload->code(target);
  if (!code)
    return verdict_of(code.error());
  const auto before = text_of(target, *code);
  std::vector<Site> sites;
  {
    const AddressSpace space = target.address_space();
    const auto ranges = parameters.value("sites", SiteRanges{{0, code->size()}});
    for (const std::size_t i : members(ranges, code->size()))
      if (const auto site = target.site_at(space, (*code)[i].address))
        sites.push_back(*site);
  }
  if ((*prober)->facts().machine_wide)
    if (const pid_t other = another_that_maps(sites); other != 0)
      return verdict_of(
          Error{ErrorKind::MachineLacks,
                {},
                fmt::format("process {} also maps this file, and the probes would be in it too", other)});
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());

  const auto began = Clock::now();
  Crew crew(*workload, plan->cpus, seed);
  const bool inserts_running = promises.has(Promise::InsertionWhileRunning);
  const bool removes_running = promises.has(Promise::RemovalWhileRunning);
  crew.wait_for_a_call();
  if (const std::string failure = crew.first_failure(); !failure.empty())
    return verdict_of(Error{ErrorKind::BadInput, {}, failure + ", without any probe; it must return 0"});
  point.pass("inserting");
  if (!inserts_running)
    crew.hold();
  const Armed armed = insert(**prober, sites);
  crew.go_on();
  point.pass("running probed");
  crew.wait_for_a_call();
  std::uint64_t hits = 0, hit_sites = 0;
  crew.hold(); // a supervisor that is asked for a hundred thousand counters has no time for traps
  for (const Site& site : armed.sites) {
    const std::uint64_t n = (*prober)->hits(site);
    hits += n;
    hit_sites += n != 0;
  }
  if (removes_running)
    crew.go_on();
  point.pass("removing");
  std::string not_removed;
  for (const Status& removed : (*prober)->remove(armed.sites))
    if (!removed)
      not_removed = describe(removed.error());
  crew.go_on();
  point.pass("running unprobed again");
  crew.wait_for_a_call();
  crew.stop();
  const Status closed = (*prober)->close();

  Verdict v;
  v.data = Json{{"sites", code->size()},
                {"asked", armed.asked},
                {"armed", armed.sites.size()},
                {"refused", armed.refused},
                {"hit_sites", hit_sites},
                {"hits", hits},
                {"calls", crew.calls()},
                {"seconds", std::chrono::duration<double>(Clock::now() - began).count()}};
  v.summary = fmt::format("{} of {} sites armed, {} of them hit, {} hits", armed.sites.size(), armed.asked,
                          hit_sites, hits);
  if (armed.sites.empty() && armed.asked != 0) {
    v.ending = Ending::Skipped;
    v.summary = fmt::format("every site is refused: {}", armed.refused.begin()->first);
  } else if (hits == 0 && armed.asked == code->size()) {
    v.ending = Ending::Skipped;
    v.summary = fmt::format("none of {} armed sites was hit, so nothing is tested", armed.sites.size());
  }
  const auto break_with = [&](const char* property, std::string summary) {
    v.ending = Ending::Broken;
    v.property = property;
    v.summary = std::move(summary);
    return v;
  };
  if (!crew.first_failure().empty())
    return break_with("self-check", crew.first_failure());
  if (!not_removed.empty() || !closed)
    return break_with("removal", closed ? not_removed : describe(closed.error()));
  if (text_of(target, *code) != before)
    return break_with("restored", "the text is not what it was");
  return v;
}

// Parameters: workload, sites. What they are, for people: function, offset in its object, instruction.
Verdict describe_sites(const Json& parameters, Arena&) {
  const auto workload = Workload::load(parameters.at("workload"));
  if (!workload)
    return verdict_of(workload.error());
  const Target target;
  const auto code = workload->code(target);
  if (!code)
    return verdict_of(code.error());
  const AddressSpace space = target.address_space();
  Verdict v;
  v.data["lines"] = Json::array();
  for (const std::size_t i : members(parameters.at("sites").get<SiteRanges>(), code->size())) {
    const CodePoint& point = (*code)[i];
    std::array<std::uint8_t, kMaxInstructionBytes> bytes{};
    (void)read_memory(point.address, bytes);
    const auto instruction = decode(point.address, bytes);
    const Mapping& mapping = *space.find(point.address);
    v.data["lines"].push_back(
        fmt::format("site {}: {} at {}+{:#x}: {}", i, point.function, mapping.path,
                    static_cast<std::uint64_t>(point.address - mapping.start) + mapping.file_offset,
                    instruction ? disassemble(*instruction) : "?"));
  }
  return v;
}

const bool workload_experiment_registered =
    register_experiment("workload", &run_workload) && register_experiment("workload-sites", &describe_sites);

} // namespace

} // namespace proberace
