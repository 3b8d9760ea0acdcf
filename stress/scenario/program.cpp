#include "stress/scenario/program.h"

#include "stress/code/body.h"

#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ostream>

namespace proberace {

namespace {

constexpr std::string_view kLetters = "x+-!ftemncsivjkd"; // by ActKind
static_assert(kLetters.size() == kActKinds);

std::unexpected<Error> no_program(const std::string& why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, "no program: " + why});
}

// Takes a number off the front of the text. False if there is none.
bool take(std::string_view& text, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

std::optional<Act> act_from(std::string_view text) {
  const std::size_t letter = text.empty() ? std::string_view::npos : kLetters.find(text[0]);
  if (letter == std::string_view::npos)
    return std::nullopt;
  Act act{static_cast<ActKind>(letter), {}, 0};
  text.remove_prefix(1);
  if (signals(act.kind)) {
    if (!take(text, act.thread) || !text.starts_with(':'))
      return std::nullopt;
    text.remove_prefix(1);
  }
  for (;;) {
    if (!take(text, act.sites.emplace_back()))
      return std::nullopt;
    if (text.empty())
      return act;
    if (text[0] != ',')
      return std::nullopt;
    text.remove_prefix(1);
  }
}

std::string why_not(const Program& p) {
  if (p.bodies.empty() || p.bodies.size() > kMaxSites)
    return fmt::format("it has 1 to {} bodies", kMaxSites);
  if (p.threads.empty() || p.threads.size() > kMaxProgramThreads)
    return fmt::format("it has 1 to {} threads", kMaxProgramThreads);
  for (const PlacedName& b : p.bodies)
    if (body_named(b.body) == nullptr)
      return fmt::format("no body is called '{}'", b.body);
  for (const std::size_t site : p.armed)
    if (site >= p.bodies.size())
      return fmt::format("there is no body {}", site);
  for (const std::vector<Act>& acts : p.threads)
    for (const Act& act : acts) {
      if (act.thread >= p.threads.size())
        return fmt::format("there is no thread {}", act.thread);
      if (act.sites.size() != (act.kind == ActKind::Nest ? 2 : 1) && act.kind != ActKind::Insert &&
          act.kind != ActKind::Remove)
        return fmt::format("'{}' names too many bodies, or too few", text_of(act));
      for (const std::size_t site : act.sites)
        if (site >= p.bodies.size())
          return fmt::format("there is no body {}", site);
      if (act.kind == ActKind::Fault && p.bodies[act.sites[0]].body != kFaultingBody)
        return fmt::format("'{}' names a body that is not '{}'", text_of(act), kFaultingBody);
    }
  return {};
}

} // namespace

char letter_of(ActKind kind) noexcept {
  return kLetters[static_cast<std::size_t>(kind)];
}

std::string text_of(const Act& act) {
  const char letter = letter_of(act.kind);
  const std::string sites = fmt::format("{}", fmt::join(act.sites, ","));
  return signals(act.kind) ? fmt::format("{}{}:{}", letter, act.thread, sites) : letter + sites;
}

Json to_json(const Program& program) {
  Json bodies = Json::array();
  for (const PlacedName& b : program.bodies)
    bodies.push_back(fmt::format("{}@{}", b.body, b.page));
  Json threads = Json::array();
  for (const std::vector<Act>& acts : program.threads) {
    Json list = Json::array();
    for (const Act& act : acts)
      list.push_back(text_of(act));
    threads.push_back(std::move(list));
  }
  return Json{{"strategy", program.strategy},
              {"bodies", std::move(bodies)},
              {"armed", program.armed},
              {"threads", std::move(threads)},
              {"reopened", program.reopened}};
}

std::expected<Program, Error> program_from(const Json& json) {
  Program p;
  try {
    p.strategy = json.at("strategy");
    p.armed = json.value("armed", std::vector<std::size_t>{});
    p.reopened = json.value("reopened", false);
    for (const std::string text : json.at("bodies")) {
      const std::size_t at = std::min(text.find('@'), text.size());
      PlacedName& body = p.bodies.emplace_back(PlacedName{text.substr(0, at), 0});
      std::string_view page = std::string_view(text).substr(std::min(at + 1, text.size()));
      if (!page.empty() && (!take(page, body.page) || !page.empty()))
        return no_program(fmt::format("'{}' is no body: NAME@PAGE", text));
    }
    for (const Json& list : json.at("threads")) {
      std::vector<Act>& acts = p.threads.emplace_back();
      for (const std::string text : list) {
        auto act = act_from(text);
        if (!act)
          return no_program(fmt::format("'{}' is not x0, +0,1, -0, !1:0, n0,1, or one of {} and a body", text,
                                        kLetters.substr(4)));
        acts.push_back(std::move(*act));
      }
    }
  } catch (const Json::exception& e) {
    return no_program(e.what());
  }
  if (const std::string why = why_not(p); !why.empty())
    return no_program(why);
  return p;
}

std::ostream& operator<<(std::ostream& out, const Program& program) {
  return out << to_json(program).dump();
}

} // namespace proberace
