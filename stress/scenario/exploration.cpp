#include "stress/scenario/exploration.h"

#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

std::string text_of(const schedule::Schedule& schedule) {
  std::vector<std::string> switches;
  for (const schedule::Switch& s : schedule)
    switches.push_back(fmt::format("{}:{}", s.step, s.task));
  return fmt::format("{}", fmt::join(switches, ","));
}

std::expected<schedule::Schedule, Error> schedule_from(std::string_view text) {
  schedule::Schedule schedule;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    schedule::Switch s;
    auto step = std::from_chars(at, end, s.step);
    if (step.ec != std::errc{} || step.ptr == end || *step.ptr != ':')
      break;
    auto task = std::from_chars(step.ptr + 1, end, s.task);
    if (task.ec != std::errc{} || s.task >= schedule::kMaxTasks ||
        (!schedule.empty() && schedule.back().step >= s.step))
      break;
    schedule.push_back(s);
    if (task.ptr == end)
      return schedule;
    if (*task.ptr != ',')
      break;
    at = task.ptr + 1;
  }
  if (text.empty())
    return schedule;
  return std::unexpected(Error{
      ErrorKind::BadInput, {}, fmt::format("'{}' is no schedule: STEP:TASK,... with ascending steps", text)});
}

std::optional<schedule::Schedule> JsonForm<schedule::Schedule>::read(const Json& json) {
  if (!json.is_string())
    return std::nullopt;
  auto schedule = schedule_from(json.get_ref<const std::string&>());
  return schedule ? std::optional(std::move(*schedule)) : std::nullopt;
}

std::optional<schedule::GuideStep> JsonForm<schedule::GuideStep>::read(const Json& json) {
  if (!json.is_array() || json.size() != 2 || !json[0].is_number_unsigned() || !json[1].is_string() ||
      json[0].get<std::uint64_t>() >= schedule::kMaxTasks)
    return std::nullopt;
  return schedule::GuideStep{json[0].get<std::uint8_t>(), json[1].get<std::string>()};
}

std::optional<std::chrono::milliseconds> JsonForm<std::chrono::milliseconds>::read(const Json& json) {
  return json.is_number_unsigned() ? std::optional(std::chrono::milliseconds(json.get<std::uint32_t>()))
                                   : std::nullopt;
}

} // namespace proberace
