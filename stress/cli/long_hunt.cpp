#include "stress/cli/long_hunt.h"

#include "harness/machine/build_id.h"
#include "harness/probe/plugin.h"
#include "stress/hunt/campaign_report.h"

#include <charconv>
#include <fmt/format.h>

namespace proberace {

namespace {

// "1-2000", or one seed alone.
std::optional<SeedRange> range_from(std::string_view text) {
  SeedRange range;
  const char* const end = text.data() + text.size();
  auto read = std::from_chars(text.data(), end, range.first);
  if (read.ec != std::errc{})
    return std::nullopt;
  range.last = range.first;
  if (read.ptr != end) {
    if (*read.ptr != '-')
      return std::nullopt;
    read = std::from_chars(read.ptr + 1, end, range.last);
  }
  const bool whole = read.ec == std::errc{} && read.ptr == end;
  return whole && range.first <= range.last && range.last <= kLastSeed ? std::optional(range) : std::nullopt;
}

} // namespace

void LongHunt::declare(CLI::App& app) {
  app.add_option("--resume", directory_,
                 "Keep every finished case in this directory, and continue from those that are there");
  app.add_option("--jobs", jobs_, "With --resume: processes at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seeds", range_,
                 "With --resume: the cases to do, as FIRST-LAST; without it, cases until the budget ends");
}

Status LongHunt::check(std::optional<std::uint64_t> seed) {
  const auto bad = [](std::string message) {
    return std::unexpected(Error{ErrorKind::BadInput, {}, std::move(message)});
  };
  if (!asked())
    return jobs_ == 1 && range_.empty() ? Status{} : bad("--jobs and --seeds go with --resume DIR");
  if (seed && !range_.empty())
    return bad("--seed and --seeds: give one of them");
  if (range_.empty()) {
    seeds_.first = seed.value_or(seeds_.first);
    return seeds_.first <= seeds_.last ? Status{} : bad(fmt::format("--seed: at most {}", seeds_.last));
  }
  const auto range = range_from(range_);
  if (!range)
    return bad(fmt::format("--seeds: '{}' is no range; one is 1-2000, up to {}", range_, kLastSeed));
  seeds_ = *range;
  return {};
}

Exit LongHunt::run(Json campaign, const RunCase& run_case, std::chrono::milliseconds budget, bool pinned,
                   bool json, Progress& progress) const {
  campaign["build"] = build_id(); // another build invents other programs from the same seeds
  for (const std::string& plugin : loaded_plugins()) {
    campaign["plugins"].push_back(build_id(plugin));
    if (campaign["plugins"].back() == kNoBuildId)
      return fail(
          Error{ErrorKind::BadInput,
                {},
                fmt::format("'{}' has no build id, by which --resume would know it again: link it with "
                            "-Wl,--build-id",
                            plugin)});
  }
  const auto directory = CaseDirectory::open(directory_, campaign);
  if (!directory)
    return fail(directory.error());
  const Status ran =
      run_campaign(*directory, {seeds_, jobs_, budget, pinned}, run_case, [&](const CampaignProgress& p) {
        progress.show(fmt::format("{}: {} cases{}", campaign.value("strategy", ""), p.finished,
                                  p.broken != 0 ? fmt::format(", {} broken", p.broken) : ""));
      });
  if (!ran)
    return fail(ran.error());
  const auto set = CaseDirectory::read(directory_);
  if (!set)
    return fail(set.error());
  const CampaignReport report = report_of(*set);
  if (report.nothing_tested())
    return fail(
        Error{ErrorKind::BadInput,
              {},
              fmt::format("every case was refused: {}", set->done.begin()->second.value("summary", ""))});
  const std::uint64_t left = range_.empty() ? 0 : left_of(*set);
  if (json) {
    Json j = to_json(report, set->campaign);
    j["left"] = left;
    fmt::print("{}\n", j.dump(2));
  } else {
    fmt::print("{}", text_of(report, set->campaign));
    if (left != 0)
      fmt::print("  {} of the cases asked for are not done: run it again\n", left);
  }
  return report.broken.empty() ? Exit::Held : Exit::Counterexample;
}

std::uint64_t LongHunt::left_of(const CaseSet& set) const {
  const auto begin = set.done.lower_bound(seeds_.first);
  const auto end = set.done.upper_bound(seeds_.last);
  return seeds_.last - seeds_.first + 1 - static_cast<std::uint64_t>(std::distance(begin, end));
}

} // namespace proberace
