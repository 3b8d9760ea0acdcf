#include "harness/cell/cell.h"

#include "harness/base/failure.h"
#include "harness/cell/crash_recorder.h"
#include "harness/cell/experiment.h"
#include "harness/cell/nursery.h"
#include "harness/code/decode.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace proberace {

namespace {

std::unique_ptr<Nursery>& nursery() {
  static std::unique_ptr<Nursery> instance;
  return instance;
}

// The last point that the experiment saw of each thread.
Json points(const Arena& arena) {
  Json list = Json::array();
  for (const ThreadPoint& p : arena.points) {
    const char* doing = p.doing.load(std::memory_order_relaxed);
    if (p.thread.load(std::memory_order_relaxed) == 0 || doing == nullptr)
      continue;
    list.push_back(Json{{"thread", p.thread.load(std::memory_order_relaxed)},
                        {"doing", doing},
                        {"site", fmt::format("{:#x}", value(p.site.load(std::memory_order_relaxed)))},
                        {"ticket", p.ticket.load(std::memory_order_relaxed)}});
  }
  return list;
}

Json instructions_from(const CrashNote& note) {
  Json list = Json::array();
  std::span<const std::uint8_t> rest(note.bytes + CrashNote::kBytesBefore, CrashNote::kBytesBehind);
  Address at = note.pc;
  for (int i = 0; i < 4 && !rest.empty(); ++i) {
    const auto instruction = decode(at, rest);
    if (!instruction)
      break;
    list.push_back(fmt::format("{:#x}: {}", value(at), disassemble(*instruction)));
    at = instruction->next();
    rest = rest.subspan(instruction->length);
  }
  return list;
}

Verdict crashed(const Arena& arena) {
  Verdict v;
  v.ending = Ending::Crashed;
  const int signo = WTERMSIG(arena.end.exit_status);
  v.evidence["signal"] = fmt::format("SIG{}", sigabbrev_np(signo));
  const CrashNote& note = arena.crash;
  if (note.valid.load(std::memory_order_acquire)) { // pairs with the recorder; the child is dead anyway
    v.evidence["pc"] = fmt::format("{:#x}", value(note.pc));
    v.evidence["fault_address"] = fmt::format("{:#x}", value(note.fault_address));
    v.evidence["si_code"] = note.code;
    v.evidence["thread"] = note.thread;
    if (note.bytes_readable) {
      const std::span<const std::uint8_t> around(note.bytes);
      v.evidence["bytes_before_pc"] =
          fmt::format("{:02x}", fmt::join(around.first(CrashNote::kBytesBefore), " "));
      v.evidence["bytes_at_pc"] =
          fmt::format("{:02x}", fmt::join(around.subspan(CrashNote::kBytesBefore), " "));
      v.evidence["instructions_at_pc"] = instructions_from(note);
    }
    v.summary =
        fmt::format("died of SIG{} at {:#x} on thread {}", sigabbrev_np(signo), value(note.pc), note.thread);
  } else {
    v.evidence["note"] = "no handler ran: the signal was blocked, or its action was gone";
    v.summary = fmt::format("died of SIG{}, killed without a handler", sigabbrev_np(signo));
  }
  v.evidence["points"] = points(arena);
  return v;
}

Verdict hung(const Arena& arena) {
  Verdict v;
  v.ending = Ending::Hung;
  v.summary = fmt::format("missed its deadline of {} ms", arena.deadline_milliseconds);
  v.evidence["points"] = points(arena);
  Json stands = Json::array();
  const std::string text = arena.stands;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    stands.push_back(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  v.evidence["threads"] = stands;
  return v;
}

Verdict conclude(const Arena& arena) {
  if (arena.end.timed_out)
    return hung(arena);
  if (WIFSIGNALED(arena.end.exit_status))
    return crashed(arena);
  const std::uint32_t bytes = arena.result_bytes.load(std::memory_order_acquire); // the child has ended
  Verdict v;
  v.ending = Ending::Crashed;
  v.summary = fmt::format("exited with status {} and no outcome", WEXITSTATUS(arena.end.exit_status));
  if (bytes != 0) {
    auto own = verdict_from(Json::parse(std::string_view(arena.result, bytes), nullptr, false));
    if (own)
      return std::move(*own);
    v.summary = fmt::format("left an outcome that cannot be read: {}", own.error().message); // overwritten
  }
  v.evidence["points"] = points(arena);
  return v;
}

} // namespace

std::string CellSpec::line() const {
  Json j{{"experiment", experiment}, {"deadline_ms", deadline.count()}};
  j.update(parameters);
  return j.dump();
}

std::expected<CellSpec, std::string> parse_cell(const std::string& line) {
  Json j = Json::parse(line, nullptr, false);
  if (!j.is_object() || !j.contains("experiment") || !j["experiment"].is_string())
    return std::unexpected(std::string("no cell: expected one line of JSON with an \"experiment\""));
  CellSpec spec;
  spec.experiment = j["experiment"];
  if (find_experiment(spec.experiment) == nullptr)
    return std::unexpected(fmt::format("no experiment is called '{}'", spec.experiment));
  if (j.contains("deadline_ms")) {
    if (!j["deadline_ms"].is_number_unsigned())
      return std::unexpected(
          fmt::format("field 'deadline_ms': expected a whole number of milliseconds, not {}",
                      j["deadline_ms"].dump(-1, ' ', true, Json::error_handler_t::replace)));
    spec.deadline = std::chrono::milliseconds(j["deadline_ms"].get<std::uint32_t>());
  }
  j.erase("experiment");
  j.erase("deadline_ms");
  spec.parameters = std::move(j);
  return spec;
}

void start_nursery() {
  nursery() = std::make_unique<Nursery>();
}

Verdict run_cell(const CellSpec& spec) {
  Arena& arena = nursery()->arena();
  const std::string line = spec.line();
  if (line.size() >= sizeof arena.spec)
    return verdict_of(bad_input("a cell of {} bytes is too large", line.size()).error());
  std::memcpy(arena.spec, line.c_str(), line.size() + 1);
  arena.deadline_milliseconds = static_cast<std::uint64_t>(spec.deadline.count());
  nursery()->run();
  Verdict v = conclude(arena);
  v.data["cell_seconds"] = arena.end.seconds;
  return v;
}

std::byte* last_scratch() {
  return nursery()->arena().scratch;
}

void run_child(Arena& arena) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "cell");
  ::prctl(PR_SET_DUMPABLE, 1);
  install_crash_recorder(arena);
  const auto spec = parse_cell(arena.spec);
  if (!spec) {
    std::fprintf(stderr, "proberace: %s\n", spec.error().c_str());
    ::_exit(EXIT_FAILURE);
  }
  const Verdict verdict = (*find_experiment(spec->experiment))(spec->parameters, arena);
  const std::string text = to_json(verdict).dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > sizeof arena.result) {
    std::fprintf(stderr, "proberace: an outcome of %zu bytes does not fit the arena\n", text.size());
    ::_exit(EXIT_FAILURE);
  }
  std::memcpy(arena.result, text.data(), text.size());
  arena.result_bytes.store(static_cast<std::uint32_t>(text.size()),
                           std::memory_order_release); // pairs with conclude
  ::_exit(EXIT_SUCCESS);
}

} // namespace proberace
