#include "stress/scenario/history.h"

#include <algorithm>
#include <ostream>

namespace proberace {

namespace {

// Compact, so that a history fits a line: "+0,1" inserts, "-0" removes, "~500" pauses for 500 executions.
std::string text_of(const Event& event) {
  if (event.action == Action::Pause)
    return "~" + std::to_string(event.executions);
  std::string text = event.action == Action::Insert ? "+" : "-";
  for (std::size_t i = 0; i < event.sites.size(); ++i)
    text += (i == 0 ? "" : ",") + std::to_string(event.sites[i]);
  return text;
}

Event event_from(const std::string& text) {
  Event event;
  if (text.at(0) == '~') {
    event.executions = std::stoul(text.substr(1));
    return event;
  }
  event.action = text[0] == '+' ? Action::Insert : Action::Remove;
  for (std::size_t at = 1; at < text.size();) {
    std::size_t used = 0;
    event.sites.push_back(std::stoul(text.substr(at), &used));
    at += used + 1;
  }
  return event;
}

} // namespace

CellSpec to_cell(const History& history) {
  Json bodies = Json::array();
  for (const PlacedName& b : history.bodies)
    bodies.push_back(b.body + "@" + std::to_string(b.page));
  Json controllers = Json::array();
  for (const std::vector<Event>& events : history.controllers) {
    Json list = Json::array();
    for (const Event& event : events)
      list.push_back(text_of(event));
    controllers.push_back(std::move(list));
  }
  CellSpec spec;
  spec.experiment = "history";
  spec.parameters = Json{{"strategy", history.strategy},
                         {"plan", history.plan},
                         {"threads", history.threads},
                         {"bodies", std::move(bodies)},
                         {"controllers", std::move(controllers)},
                         {"rounds", history.rounds},
                         {"churn", history.churn}};
  if (history.jitter != 0)
    spec.parameters["jitter"] = history.jitter;
  std::size_t pauses = 0; // of the controller that has most
  for (const std::vector<Event>& events : history.controllers)
    pauses = std::max<std::size_t>(
        pauses, static_cast<std::size_t>(std::ranges::count(events, Action::Pause, &Event::action)));
  spec.deadline = std::chrono::seconds(20) + history.rounds * pauses * kLongestPause;
  return spec;
}

History history_from(const Json& parameters) {
  History h;
  h.strategy = parameters.at("strategy");
  h.plan = parameters.at("plan");
  h.threads = parameters.at("threads");
  h.rounds = parameters.value("rounds", std::size_t{1});
  h.churn = parameters.value("churn", std::size_t{0});
  h.jitter = parameters.value("jitter", std::size_t{0});
  for (const std::string text : parameters.at("bodies")) {
    const std::size_t at = text.find('@');
    h.bodies.push_back({text.substr(0, at), at == std::string::npos ? 0 : std::stoul(text.substr(at + 1))});
  }
  for (const Json& list : parameters.at("controllers")) {
    std::vector<Event> events;
    for (const std::string text : list)
      events.push_back(event_from(text));
    h.controllers.push_back(std::move(events));
  }
  return h;
}

std::ostream& operator<<(std::ostream& out, const History& history) {
  return out << to_cell(history).line();
}

} // namespace proberace
