#include "stress/transparency/isa/isa_check.h"

#include "harness/cell/cell.h"
#include "harness/probe/registry.h"
#include "harness/result/counts.h"
#include "stress/hunt/search.h"
#include "stress/transparency/isa/isa_case.h"
#include "stress/transparency/isa/operand_cells.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <set>

namespace proberace {

namespace {

using Indices = std::vector<std::size_t>;

constexpr std::uint64_t kCasesPerCell = 2048;
constexpr std::uint64_t kCasesPerSlowCell = 64; // where a removal takes some 100 ms
constexpr std::chrono::minutes kDeadline{3};
constexpr std::chrono::seconds kOneCase{10};
constexpr std::chrono::seconds kShrinkFor{20};
constexpr std::size_t kMostShrunk = 8;
constexpr std::uint64_t kRandomShare = 10; // one in so many cases, at least, is drawn at random

// The case's tree of smaller ones, each as its path from the case. A path is what a cell takes.
rc::Shrinkable<Indices> paths_of(std::uint64_t seed, std::uint64_t number) {
  return rc::shrinkable::shrinkRecur(Indices(), [=](const Indices& path) {
    const auto child = [path](std::size_t i) {
      Indices longer = path;
      longer.push_back(i);
      return longer;
    };
    const auto exists = [=](const Indices& longer) { return isa_case(seed, number, longer).has_value(); };
    const auto all = rc::seq::iterate(std::size_t{0}, [](std::size_t i) { return i + 1; });
    return rc::seq::takeWhile(rc::seq::map(all, child), exists);
  });
}

std::uint64_t number(const Json& counts, const char* key) {
  return counts.value(key, std::uint64_t{0});
}

// The cells of which no case was tried.
std::vector<std::string> uncovered_cells(const Json& counts) {
  const Json covered = counts.value("cells", Json::object());
  std::vector<std::string> names;
  for (const OperandCell& cell : operand_cells())
    if (!covered.contains(cell.name))
      names.push_back(cell.name);
  return names;
}

class Check {
public:
  explicit Check(const IsaOptions& options) : options_(options) {
    report_.strategy = options.strategy;
    report_.seed = options.seed;
  }

  IsaReport run() {
    const bool slow = facts_of(options_.strategy).removal == Removal::Slow;
    const std::uint64_t per_cell = slow ? kCasesPerSlowCell : kCasesPerCell;
    // Those that are named are drawn at random alone.
    const std::uint64_t aimed = options_.mnemonics.empty()
                                    ? std::min(options_.cases - options_.cases / kRandomShare, most_aimed())
                                    : 0;
    run_in_cells(kAimed, kAimed + aimed, per_cell);
    run_in_cells(0, options_.cases - aimed, per_cell);
    for (std::size_t i = 0; i < std::min(kMostShrunk, report_.failures.size()); ++i)
      shrink(report_.failures[i]);
    return std::move(report_);
  }

private:
  // Twice, because some cases that are drawn cannot be tried.
  static std::uint64_t most_aimed() { return 2 * operand_cells().size(); }

  void run_in_cells(std::uint64_t first, std::uint64_t end, std::uint64_t per_cell) {
    for (; first < end && report_.ended.is(Ending::Held); first += per_cell)
      run_cases(first, std::min(end, first + per_cell));
  }

  // A case that ends the process costs those before it a second run, so that nothing they counted is lost.
  void run_cases(std::uint64_t first, std::uint64_t end) {
    if (first >= end)
      return;
    CellSpec spec{"isa",
                  Json{{"strategy", options_.strategy},
                       {"seed", options_.seed},
                       {"first", first},
                       {"count", end - first},
                       {"mnemonics", options_.mnemonics}},
                  kDeadline};
    const Verdict v = run_cell(spec);
    if (v.is(Ending::Skipped) || v.is(Ending::Refused)) {
      report_.ended = v;
      return;
    }
    if (v.is(Ending::Crashed) || v.is(Ending::Hung)) {
      const std::uint64_t culprit = std::clamp(number_in(v), first, end - 1);
      note_end(culprit, v);
      run_cases(first, culprit);
      run_cases(culprit + 1, end);
      return;
    }
    add_counts(report_.counts, v.data);
    for (const Json& example : v.data.at("examples")) {
      ++report_.broken;
      if (broken_mnemonics_.insert(example.at("mnemonic")).second)
        report_.failures.push_back({example.at("number"), {}, v, false});
    }
    if (options_.progress)
      options_.progress(fmt::format("{}: {} of {} cases, {} broken", options_.strategy,
                                    number(report_.counts, "tried"), options_.cases, report_.broken));
  }

  static std::uint64_t number_in(const Verdict& v) {
    const Json& points = v.evidence.at("points");
    return points.empty() ? 0 : points.front().at("ticket").get<std::uint64_t>();
  }

  void note_end(std::uint64_t number, const Verdict& v) {
    ++report_.broken;
    const auto c = isa_case(options_.seed, number, {});
    const auto bytes = c ? encode(form_of(*c, options_.mnemonics), c->operands) : std::nullopt;
    const auto instruction = bytes ? decode(Address{}, *bytes) : std::unexpected(Error{});
    const std::string mnemonic(instruction ? mnemonic_name(*instruction) : "?");
    add_counts(report_.counts,
               Json{{"tried", 1}, {"broken", 1}, {"mnemonics", {{mnemonic, {{"tried", 1}, {"broken", 1}}}}}});
    if (broken_mnemonics_.insert(mnemonic).second)
      report_.failures.push_back({number, {}, v, false});
  }

  Verdict replay(std::uint64_t number, const Indices& path) const {
    return replay_isa(options_.strategy, {options_.seed, number, path}, options_.mnemonics);
  }

  void shrink(IsaFailure& failure) {
    const auto attempt = [&](const Indices& path) -> std::optional<IsaFailure> {
      if (options_.progress)
        options_.progress(fmt::format("shrinking case {}", failure.number));
      const Verdict v = replay(failure.number, path);
      if (!v.is_counterexample())
        return std::nullopt;
      return IsaFailure{failure.number, path, v, true};
    };
    const auto again = attempt({});
    if (!again)
      return;
    failure = *again;
    const auto until = std::chrono::steady_clock::now() + kShrinkFor;
    if (auto smallest = shrink_case(paths_of(options_.seed, failure.number), until, attempt))
      failure = std::move(*smallest);
  }

  const IsaOptions& options_;
  IsaReport report_;
  std::set<std::string> broken_mnemonics_;
};

} // namespace

IsaReport check_isa(const IsaOptions& options) {
  return Check(options).run();
}

Verdict replay_isa(const std::string& strategy, const CaseName& which,
                   const std::vector<std::string>& mnemonics) {
  return run_cell({"isa",
                   Json{{"strategy", strategy},
                        {"seed", which.seed},
                        {"number", which.number},
                        {"path", which.path},
                        {"mnemonics", mnemonics}},
                   kOneCase});
}

std::string case_name(std::uint64_t seed, std::uint64_t number, const Indices& path) {
  return fmt::format("{}:{}{}{}", seed, number, path.empty() ? "" : ":", fmt::join(path, "."));
}

std::optional<CaseName> parse_case_name(const std::string& name) {
  CaseName parsed;
  unsigned long long seed = 0, number = 0;
  int used = 0;
  if (std::sscanf(name.c_str(), "%llu:%llu%n", &seed, &number, &used) != 2)
    return std::nullopt;
  parsed.seed = seed;
  parsed.number = number;
  std::string_view rest = std::string_view(name).substr(static_cast<std::size_t>(used));
  for (char separator = ':'; !rest.empty(); separator = '.') {
    std::size_t step = 0;
    if (rest.front() != separator)
      return std::nullopt;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), step);
    if (error != std::errc{})
      return std::nullopt;
    parsed.path.push_back(step);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  }
  return parsed;
}

std::string text_of(const IsaFailure& f, std::uint64_t seed) {
  std::string text = fmt::format("case {}: {}", case_name(seed, f.number, f.path), name(f.verdict.ending));
  const Json* example = nullptr;
  if (f.verdict.is(Ending::Broken))
    for (const Json& e : f.verdict.evidence)
      if (e.at("number") == f.number)
        example = &e;
  if (example == nullptr)
    return text + ": " + f.verdict.summary + "\n";
  text += fmt::format("\n  {}   ({}) at {}\n", (*example)["instruction"].get<std::string>(),
                      (*example)["bytes"].get<std::string>(), (*example)["address"].get<std::string>());
  for (const Json& difference : (*example)["differing"])
    text += fmt::format("    {}\n", difference.get<std::string>());
  text += "  from";
  for (const auto& [what, value] : (*example)["state"].items())
    text += fmt::format(" {}={}", what, value.get<std::string>());
  return text + "\n";
}

std::string text_of(const IsaReport& r) {
  const Json& c = r.counts;
  std::string text =
      fmt::format("{}: {} cases tried (seed {}): {} held, {} refused, {} broken; of {} mnemonics\n",
                  r.strategy, number(c, "tried"), r.seed, number(c, "held"), number(c, "refused"),
                  number(c, "broken"), c.contains("mnemonics") ? c["mnemonics"].size() : 0);
  text +=
      fmt::format("  of those held, {} faulted, {} of them because the processor does not know the form\n",
                  number(c, "faulted"), number(c, "undefined"));
  if (const auto uncovered = uncovered_cells(c); !c.value("cells", Json()).empty()) {
    const std::size_t cells = operand_cells().size();
    text += fmt::format("  of {} pairs of mnemonic and kind of operand, {} were tried ({:.1f} %)\n", cells,
                        cells - uncovered.size(),
                        100.0 * static_cast<double>(cells - uncovered.size()) / static_cast<double>(cells));
  }
  if (c.contains("untried") && !c["untried"].empty())
    text += fmt::format("  not tried: {}\n", most_frequent(c["untried"], 8));
  if (c.contains("refused_because"))
    for (const auto& [reason, mnemonics] : c["refused_because"].items())
      text += fmt::format("  refused: {}: {}\n", reason, most_frequent(mnemonics, 12));
  std::map<std::string_view, std::vector<std::string>> excluded;
  for (const auto& e : FormCatalogue::instance().excluded())
    if (e.why.find("processor") == e.why.npos)
      excluded[e.why].push_back(e.name);
  for (const auto& [why, names] : excluded)
    text += fmt::format("  left out: {}: {}\n", why, fmt::join(names, ", "));
  for (const IsaFailure& f : r.failures) {
    text += text_of(f, r.seed);
    if (!f.alone)
      text += "  it failed among other cases; alone it did not, or was not tried\n";
    if (!f.file.empty())
      text += fmt::format("  again: proberace replay {}\n", f.file);
  }
  return text;
}

Json to_json(const IsaReport& r) {
  Json failures = Json::array();
  for (const IsaFailure& f : r.failures)
    failures.push_back(Json{{"case", case_name(r.seed, f.number, f.path)},
                            {"alone", f.alone},
                            {"file", f.file.empty() ? Json(nullptr) : Json(f.file)},
                            {"verdict", to_json(f.verdict)}});
  Json excluded = Json::object();
  for (const auto& e : FormCatalogue::instance().excluded())
    excluded[e.name] = e.why;
  Json counts = r.counts;
  counts.erase("examples");
  if (!counts.value("cells", Json()).empty())
    counts["cells"] = Json{{"all", operand_cells().size()}, {"uncovered", uncovered_cells(r.counts)}};
  counts.erase("cell_seconds");
  return Json{{"strategy", r.strategy},
              {"seed", r.seed},
              {"counts", std::move(counts)},
              {"failures", std::move(failures)},
              {"excluded", std::move(excluded)}};
}

} // namespace proberace
