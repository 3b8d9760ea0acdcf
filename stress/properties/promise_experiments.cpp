// Promises that a history cannot try, one experiment each, named promise/<promise>.
#include "stress/properties/probed_text.h"
#include "stress/targets/zlib_library.h"

#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

namespace proberace {

namespace {

using Check = Verdict (*)(ProbedText& probed);

// Opens the strategy named in the parameters on `bodies`, arms them, runs the check.
Verdict with_probes(const Json& parameters, std::initializer_list<const char*> bodies, Check check,
                    bool armed = true) {
  std::vector<Placement> placements;
  for (const char* body : bodies)
    placements.push_back({body_named(body), 0});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  if (armed)
    if (const Status inserted = (*probed)->insert_all(); !inserted)
      return verdict_of(inserted.error());
  return check(**probed);
}

// ---- rip-relative, all-control-flow, red-zone-intact: every body of the kind, on this thread alone, so that
// nothing but the instruction is tried.

Verdict instructions(const Json& parameters, BodyTrait trait) {
  constexpr std::uint64_t kTimes = 200; // the kernel optimises a five-byte nop only after its first hit
  std::vector<Placement> placements;
  for (const Body& body : all_bodies())
    if (body.has(trait))
      placements.push_back({&body, placements.size() % 2});
  auto probed = ProbedText::open(parameters.at("strategy"), placements);
  if (!probed)
    return verdict_of(probed.error());
  if (const Status inserted = (*probed)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  for (std::size_t i = 0; i < placements.size(); ++i) {
    for (std::uint64_t n = 1; n <= kTimes; ++n)
      if (!(*probed)->execute(i))
        return broken("wrong-result", fmt::format("{}: wrong result, or a register it must keep, at hit {}",
                                                  placements[i].body->name(), n));
    if (const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(i)); hits != kTimes)
      return broken("wrong-count",
                    fmt::format("{}: {} executions, {} hits", placements[i].body->name(), kTimes, hits));
  }
  return held(fmt::format("{} bodies", placements.size()));
}

// ---- signals-see-original-pc: PCs that a storm of signals saw must all lie in code that was there before.

constexpr int kSignals = 4000;
std::atomic<int> signals_taken{0};
std::uintptr_t signal_pcs[kSignals + 1];

void note_pc(int, siginfo_t*, void* context) {
  const int n = signals_taken.fetch_add(1, std::memory_order_relaxed); // one thread takes them all
  if (n < kSignals)
    signal_pcs[n] =
        static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
}

Verdict signals_see_original_pc(const Json& parameters, Arena&) {
  const AddressSpace before = AddressSpace::read();
  static AddressSpace known;
  known = before;
  return with_probes(parameters, {"mov", "call"}, [](ProbedText& probed) {
    struct sigaction action {};
    action.sa_sigaction = &note_pc;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
    const pid_t self = ::gettid();
    std::jthread storm([self](std::stop_token stop) {
      while (!stop.stop_requested() && signals_taken.load(std::memory_order_relaxed) < kSignals) {
        ::tgkill(::getpid(), self, SIGUSR1);
        std::this_thread::yield();
      }
    });
    Mailbox mailbox;
    std::uint64_t executions = 0;
    while (signals_taken.load(std::memory_order_relaxed) < kSignals && executions < 400'000) {
      probed.execute(executions++ % 2, mailbox);
    }
    storm.request_stop();
    storm.join();
    const Address text = probed.text().start();
    const int taken = std::min(signals_taken.load(std::memory_order_relaxed), kSignals);
    for (int i = 0; i < taken; ++i) {
      const Address pc{signal_pcs[i]};
      const Mapping* mapping = known.find(pc);
      const bool in_text = text <= pc && pc < text + static_cast<std::ptrdiff_t>(probed.text().bytes());
      if (!in_text && (mapping == nullptr || !mapping->executable))
        return broken("slot-pc", fmt::format("signal {} of {} saw {:#x}, which no code of the program holds",
                                             i, taken, value(pc)));
    }
    return held(fmt::format("{} signals", taken));
  });
}

// ---- faults-see-original-pc: a load through a null-like pointer; its handler looks at the PC and goes on
// behind it.

std::atomic<std::uintptr_t> fault_pc{0};
std::uintptr_t fault_resume = 0;

void note_fault(int, siginfo_t*, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  fault_pc.store(static_cast<std::uintptr_t>(registers[REG_RIP]), std::memory_order_relaxed); // same thread
  registers[REG_RIP] = static_cast<greg_t>(fault_resume);
}

Verdict faults_see_original_pc(const Json& parameters, Arena&) {
  constexpr std::uint8_t kCode[] = {0x48, 0x8b, 0x07, 0xc3}; // mov (%rdi),%rax; ret
  auto text = Text::of_bytes(kCode);
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!text || !prober)
    return verdict_of(text ? prober.error() : text.error());
  target.add_function(text->start(), sizeof kCode, "load");
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  const Site site = *target.site_at(text->start());
  if (const Status inserted = first_error((*prober)->insert({{site}})); !inserted)
    return verdict_of(inserted.error());
  struct sigaction action {};
  action.sa_sigaction = &note_fault;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &action, nullptr);
  fault_resume = value(text->start() + 3);
  reinterpret_cast<void (*)(std::uintptr_t)>(bytes_at(text->start()))(0x10);
  const std::uintptr_t seen = fault_pc.load(std::memory_order_relaxed);
  if (seen != value(site.address))
    return broken("fault-pc",
                  fmt::format("the fault of {:#x} was reported at {:#x}", value(site.address), seen));
  return held();
}

// ---- reentrant: a hit handler that executes other probed code.

ProbedText* nested_in = nullptr;

void execute_other(Hit&, void*) {
  nested_in->execute(1);
}

Verdict reentrant(const Json& parameters, Arena&) {
  static constexpr int kTimes = 500;
  return with_probes(
      parameters, {"mov", "add"},
      [](ProbedText& probed) {
        if (const Status set = probed.prober().set_handler(&execute_other, nullptr); !set) {
          Verdict v = verdict_of(set.error());
          v.ending = Ending::Skipped;
          return v;
        }
        if (const Status inserted = probed.insert_all(); !inserted)
          return verdict_of(inserted.error());
        nested_in = &probed;
        for (int i = 0; i < kTimes; ++i)
          if (!probed.execute(0))
            return broken("wrong-result", "the probed body's result was wrong");
        const std::uint64_t outer = probed.prober().hits(probed.site(0));
        const std::uint64_t inner = probed.prober().hits(probed.site(1));
        if (outer != kTimes || inner != kTimes)
          return broken("wrong-count",
                        fmt::format("{} outer and {} nested hits of {} each", outer, inner, kTimes));
        return held();
      },
      false);
}

// ---- fork-safe: the child runs on, and its hits are not the parent's.

Verdict fork_safe(const Json& parameters, Arena&) {
  static constexpr int kTimes = 100;
  return with_probes(parameters, {"mov", "push"}, [](ProbedText& probed) {
    const auto run = [&probed] {
      bool right = true;
      for (int i = 0; i < kTimes; ++i)
        right = probed.execute(0) && probed.execute(1) && right;
      return right;
    };
    if (!run())
      return broken("wrong-result", "wrong result before the fork");
    const pid_t child = ::fork();
    if (child == 0)
      ::_exit(run() ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      return broken("child", fmt::format("the forked child ended with status {:#x}", status));
    const std::uint64_t after_child = probed.prober().hits(probed.site(0));
    if (after_child != kTimes)
      return broken("wrong-count", fmt::format("{} executions of the parent, {} hits after the child ran",
                                               kTimes, after_child));
    if (!run() || probed.prober().hits(probed.site(0)) != 2 * kTimes)
      return broken("wrong-count", "the parent's counts are wrong after the child has ended");
    return held();
  });
}

// ---- no-added-mapping, no-writable-executable: the executable mappings while armed, after a hit.

std::vector<Mapping> executable_mappings() {
  std::vector<Mapping> found;
  const AddressSpace space = AddressSpace::read();
  for (const Mapping& m : space.mappings())
    if (m.executable)
      found.push_back(m);
  return found;
}

Verdict no_added_mapping(const Json& parameters, Arena&) {
  return with_probes(
      parameters, {"mov", "nop"},
      [](ProbedText& probed) {
        const std::vector<Mapping> before = executable_mappings();
        if (const Status inserted = probed.insert_all(); !inserted)
          return verdict_of(inserted.error());
        probed.execute(0);
        const std::vector<Mapping> armed = executable_mappings();
        if (armed == before)
          return held();
        return broken("mappings", fmt::format("{} executable mappings before, {} while armed", before.size(),
                                              armed.size()));
      },
      false);
}

Verdict no_writable_executable(const Json& parameters, Arena&) {
  return with_probes(
      parameters, {"mov", "nop"},
      [](ProbedText& probed) {
        const std::size_t before = AddressSpace::read().writable_executable_bytes();
        if (const Status inserted = probed.insert_all(); !inserted)
          return verdict_of(inserted.error());
        probed.execute(0);
        const std::size_t armed = AddressSpace::read().writable_executable_bytes();
        if (armed <= before)
          return held();
        return broken("wx", fmt::format("{} bytes are writable and executable", armed - before));
      },
      false);
}

// ---- file-backed-text: a function of a real library.

Verdict file_backed_text(const Json& parameters, Arena&) {
  static constexpr int kTimes = 10;
  const auto zlib = ZlibLibrary::load();
  if (!zlib)
    return verdict_of(zlib.error());
  Target target; // outlives the prober
  auto prober = make_prober(parameters.at("strategy"));
  if (!prober)
    return verdict_of(prober.error());
  const auto site = target.site_at(address_of(reinterpret_cast<const void*>(zlib->adler32)));
  if (!site)
    return verdict_of(site.error());
  if (const Status opened = (*prober)->open(target); !opened)
    return verdict_of(opened.error());
  if (const Status inserted = first_error((*prober)->insert({{*site}})); !inserted)
    return verdict_of(inserted.error());
  constexpr unsigned char kText[] = "Wikipedia";
  for (int i = 0; i < kTimes; ++i)
    if (zlib->adler32(1, kText, 9) != 0x11E60398) // RFC 1950's checksum of "Wikipedia"
      return broken("wrong-result", "adler32 is wrong while probed");
  const std::uint64_t hits = (*prober)->hits(*site);
  if (hits != kTimes)
    return broken("wrong-count", fmt::format("{} calls of adler32, {} hits", kTimes, hits));
  return held();
}

const bool registered =
    register_experiment("promise/rip-relative",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::RipRelative); }) &&
    register_experiment("promise/all-control-flow",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::ControlFlow); }) &&
    register_experiment("promise/red-zone-intact",
                        [](const Json& p, Arena&) { return instructions(p, BodyTrait::RedZone); }) &&
    register_experiment("promise/signals-see-original-pc", &signals_see_original_pc) &&
    register_experiment("promise/faults-see-original-pc", &faults_see_original_pc) &&
    register_experiment("promise/reentrant", &reentrant) &&
    register_experiment("promise/fork-safe", &fork_safe) &&
    register_experiment("promise/no-added-mapping", &no_added_mapping) &&
    register_experiment("promise/no-writable-executable", &no_writable_executable) &&
    register_experiment("promise/file-backed-text", &file_backed_text);

} // namespace

} // namespace proberace
