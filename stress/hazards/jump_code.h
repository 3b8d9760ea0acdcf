// For tests of `jump`: code of functions in a text of its own, and a prober open on it.
#pragma once

#include "harness/base/process_memory.h"
#include "stress/code/probed_text.h"
#include "stress/testing/expect_cell.h"

#include <fmt/format.h>

namespace proberace {

using Code = std::vector<std::uint8_t>;

// Code of one function (or several) in a text of its own, and an open jump prober.
struct JumpedCode {
  std::optional<Text> text;
  Target target;
  std::unique_ptr<Prober> prober;

  Address at(std::size_t offset) const { return text->start() + static_cast<std::ptrdiff_t>(offset); }
  Site site(std::size_t offset) const { return *target.site_at(at(offset)); }
  std::uint64_t call(std::size_t offset, std::uint64_t input) const {
    return reinterpret_cast<std::uint64_t (*)(std::uint64_t)>(bytes_at(at(offset)))(input);
  }
  std::uint8_t byte(std::size_t offset) const {
    std::uint8_t b = 0;
    read_memory(at(offset), {&b, 1});
    return b;
  }
};

inline Status open(JumpedCode& o, const Code& code,
                   std::initializer_list<std::pair<std::size_t, std::size_t>> functions) {
  auto text = Text::of_bytes(code);
  if (!text)
    return std::unexpected(text.error());
  o.text.emplace(std::move(*text));
  for (const auto& [begin, bytes] : functions)
    o.target.add_function(o.at(begin), bytes, "function");
  o.prober = *make_prober("jump");
  return o.prober->open(o.target);
}

inline Verdict count_is(const JumpedCode& o, const Site& site, std::uint64_t expected) {
  const std::uint64_t hits = o.prober->hits(site);
  const std::uint64_t jumped = o.prober->paths()[Path::Trampoline];
  return hits == expected && jumped >= hits
             ? held()
             : broken("wrong-count",
                      fmt::format("{} hits, {} by trampoline, {} executions", hits, jumped, expected));
}

inline Verdict expect_jump_held(const char* experiment, Json parameters = Json::object()) {
  CellSpec spec;
  spec.experiment = experiment;
  spec.parameters = std::move(parameters);
  const Verdict v = run_cell(spec);
  EXPECT_TRUE(v.is(Ending::Held)) << name(v.ending) << ": " << v.property << ": " << v.summary << "\n"
                                  << v.evidence.dump(1);
  return v;
}

} // namespace proberace
