// Scenarios from text. One parser for what people type and for what files hold: JSON has the same words in its lists.
#include "harness/base/json.h"
#include "stress/scenario/scenario.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ranges>

namespace proberace {

namespace {

std::unexpected<Error> bad(std::string why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, "scenario: " + std::move(why)});
}

// Words, and each colon as a word of its own.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos)
      break;
    text.remove_prefix(begin);
    const std::size_t end = text[0] == ':' ? 1 : std::min(text.find_first_of(" \t\r:"), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

std::optional<std::size_t> number_of(std::string_view word) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size() ? std::optional(number) : std::nullopt;
}

// The inverse of letters_of.
std::optional<std::size_t> body_of(std::string_view letters) {
  constexpr std::size_t kMostLetters = 3;
  std::size_t body = 0;
  for (const char c : letters) {
    if (c < 'A' || c > 'Z')
      return std::nullopt;
    body = body * 26 + static_cast<std::size_t>(c - 'A') + 1;
  }
  return letters.empty() || letters.size() > kMostLetters ? std::nullopt : std::optional(body - 1);
}

std::string_view operands_of(ActForm form) {
  switch (form) {
  case ActForm::Nothing: return "";
  case ActForm::Body: return " A";
  case ActForm::Bodies: return " A B";
  case ActForm::Runs: return ": run A B";
  case ActForm::ThreadRuns: return " 1: run A";
  case ActForm::BodyRuns: return " A: run B";
  case ActForm::Count: return " 500";
  }
  return "";
}

// Takes words off the front, one after the other.
class Words {
public:
  explicit Words(std::string_view text) : words_(words_of(text)) {}
  bool done() const { return at_ == words_.size(); }
  std::string_view peek() const { return done() ? std::string_view() : words_[at_]; }
  std::string_view next() { return done() ? std::string_view() : words_[at_++]; }
  bool take(std::string_view word) {
    if (peek() != word)
      return false;
    ++at_;
    return true;
  }
  std::optional<std::size_t> take_number() {
    const auto number = number_of(peek());
    at_ += number ? 1 : 0;
    return number;
  }
  // As many as there are.
  std::size_t take_bodies(std::vector<std::size_t>& bodies, std::size_t most = SIZE_MAX) {
    std::size_t taken = 0;
    for (; taken < most; ++taken) {
      const auto body = body_of(peek());
      if (!body)
        break;
      bodies.push_back(*body);
      ++at_;
    }
    return taken;
  }

private:
  std::vector<std::string_view> words_;
  std::size_t at_ = 0;
};

// "times 8", "until-done", "jitter 30", in any order.
bool take_attributes(Words& words, Act& act) {
  while (!words.done())
    if (words.take("until-done")) {
      act.times = kUntilDone;
    } else if (words.take("times")) {
      const auto times = words.take_number();
      if (!times || *times == 0)
        return false;
      act.times = *times;
    } else if (words.take("jitter")) {
      const auto jitter = words.take_number();
      if (!jitter)
        return false;
      act.jitter = *jitter;
    } else {
      return false;
    }
  return true;
}

bool take_operands(Words& words, ActForm form, Act& act) {
  const auto runs = [&](std::size_t most) {
    return words.take(":") && words.take(row_of(ActKind::Run).word) &&
           words.take_bodies(act.bodies, most) != 0;
  };
  switch (form) {
  case ActForm::Nothing: return true;
  case ActForm::Body: return words.take_bodies(act.bodies, 1) == 1;
  case ActForm::Bodies:
    return words.take_bodies(act.bodies) != 0 && (act.kind != ActKind::Run || take_attributes(words, act));
  case ActForm::Runs: return runs(SIZE_MAX);
  case ActForm::BodyRuns: return words.take_bodies(act.bodies, 1) == 1 && runs(1);
  case ActForm::ThreadRuns:
  case ActForm::Count: {
    const auto number = words.take_number();
    if (!number)
      return false;
    (form == ActForm::Count ? act.count : act.thread) = *number;
    return form == ActForm::Count || runs(1);
  }
  }
  return false;
}

std::expected<Act, Error> act_from(std::string_view text) {
  Words words(text);
  const std::string_view word = words.next();
  const auto row = std::ranges::find(kActs, word, &ActRow::word);
  if (row == kActs.end()) {
    std::vector<std::string_view> known;
    for (const ActRow& r : kActs)
      known.push_back(r.word);
    return bad(fmt::format("no act is called '{}': one is {}", word, fmt::join(known, ", ")));
  }
  Act act;
  act.kind = row->kind;
  if (!take_operands(words, row->form, act) || !words.done())
    return bad(
        fmt::format("'{}' is not as '{}{}'{}", text, row->word, operands_of(row->form),
                    act.kind == ActKind::Run ? ", then 'times 8' or 'until-done', and 'jitter 30'" : ""));
  return act;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

Status add_acts(std::string_view text, std::vector<Act>& acts) {
  if (trimmed(text).empty())
    return {};
  for (;;) {
    const std::size_t end = std::min(text.find(';'), text.size());
    auto act = act_from(trimmed(text.substr(0, end)));
    if (!act)
      return std::unexpected(act.error());
    acts.push_back(std::move(*act));
    if (end == text.size())
      return {};
    text.remove_prefix(end + 1);
  }
}

std::expected<PlacedName, Error> placed_from(std::string_view text) {
  const std::size_t at = std::min(text.find('@'), text.size());
  PlacedName placed{std::string(text.substr(0, at)), 0};
  if (at == text.size())
    return placed;
  const auto page = number_of(text.substr(at + 1));
  if (!page)
    return bad(fmt::format("'{}' is not a body's NAME or NAME@PAGE", text));
  placed.page = *page;
  return placed;
}

Status add_bodies(Words& words, Scenario& s) {
  while (!words.done()) {
    const std::string_view word = words.next();
    const std::size_t equals = std::min(word.find('='), word.size());
    if (equals == word.size() || body_of(word.substr(0, equals)) != s.bodies.size())
      return bad(fmt::format("'{}' is not as '{}=mov'", word, letters_of(s.bodies.size())));
    auto placed = placed_from(word.substr(equals + 1));
    if (!placed)
      return std::unexpected(placed.error());
    s.bodies.push_back(std::move(*placed));
  }
  return {};
}

// "thread 1 rounds 8 pinned: ACT; ACT"
Status add_thread(std::string_view line, Scenario& s) {
  const std::size_t colon = line.find(':');
  Words head(line.substr(0, std::min(colon, line.size())));
  (void)head.next();
  ScenarioThread thread;
  const auto number = head.take_number();
  bool good = colon != std::string_view::npos && number == s.threads.size();
  while (good && !head.done())
    if (head.take("pinned")) {
      thread.pinned = true;
    } else if (head.take("rounds")) {
      const auto rounds = head.take_number();
      good = rounds.has_value();
      thread.rounds = rounds.value_or(0);
    } else {
      good = false;
    }
  if (!good)
    return bad(fmt::format(
        "'{}' is not as 'thread {}: run A; insert B', with 'rounds 8' or 'pinned' before the colon", line,
        s.threads.size()));
  if (const Status added = add_acts(line.substr(colon + 1), thread.acts); !added)
    return added;
  s.threads.push_back(std::move(thread));
  return {};
}

Status add_line(std::string_view line, Scenario& s) {
  Words words(line);
  const std::string_view key = words.next();
  if (key == "thread")
    return add_thread(line, s);
  // A strategy's name may have colons in it.
  const std::string_view rest =
      trimmed(line.substr(static_cast<std::size_t>(key.data() + key.size() - line.data())));
  if (key == "strategy" || key == "plan") {
    (key == "plan" ? s.plan : s.strategy) = rest;
    return {};
  }
  if (key == "bodies")
    return add_bodies(words, s);
  if (key == "armed") {
    words.take_bodies(s.armed);
    return words.done() ? Status{} : bad(fmt::format("'{}' is not as 'armed A B'", line));
  }
  for (const ScenarioFlag& flag : kScenarioFlags)
    if (key == flag.word && words.done()) {
      s.*flag.member = true;
      return {};
    }
  return bad(fmt::format("'{}' begins with none of strategy, plan, bodies, armed, {}, thread", line,
                         fmt::join(kScenarioFlags | std::views::transform(&ScenarioFlag::word), ", ")));
}

std::expected<Scenario, Error> checked(Scenario scenario) {
  if (std::string why = why_not(scenario); !why.empty())
    return bad(std::move(why));
  return scenario;
}

} // namespace

std::expected<Scenario, Error> scenario_from_text(std::string_view text) {
  Scenario s;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, std::min(text.find('#'), end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty())
      continue;
    if (const Status added = add_line(line, s); !added)
      return bad(fmt::format("line {}: {}", number,
                             added.error().message.substr(std::string_view("scenario: ").size())));
  }
  return checked(std::move(s));
}

std::expected<Scenario, Error> scenario_from(const Json& json) {
  Scenario s;
  try {
    s.strategy = json.at("strategy");
    s.plan = json.value("plan", s.plan);
    for (const ScenarioFlag& flag : kScenarioFlags)
      s.*flag.member = json.value(flag.word, false);
    for (const std::string text : json.at("bodies")) {
      auto placed = placed_from(text);
      if (!placed)
        return std::unexpected(placed.error());
      s.bodies.push_back(std::move(*placed));
    }
    for (const std::string letters : json.value("armed", Json::array())) {
      const auto body = body_of(letters);
      if (!body)
        return bad(fmt::format("armed: '{}' is no body", letters));
      s.armed.push_back(*body);
    }
    for (const Json& one : json.at("threads")) {
      ScenarioThread& thread = s.threads.emplace_back();
      thread.rounds = one.value("rounds", thread.rounds);
      thread.pinned = one.value("pinned", false);
      for (const std::string text : one.at("acts"))
        if (const Status added = add_acts(text, thread.acts); !added)
          return std::unexpected(added.error());
    }
  } catch (const Json::exception& e) {
    return bad(e.what());
  }
  return checked(std::move(s));
}

std::string acts_help() {
  std::string text;
  for (const ActRow& row : kActs)
    text += fmt::format("  {:<16}  {}\n", fmt::format("{}{}", row.word, operands_of(row.form)), row.help);
  return text;
}

} // namespace proberace
