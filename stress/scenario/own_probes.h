// Probes of one act on code that its thread has mapped for itself: nobody else arms or removes there, so each refusal
// is known. Another thread may execute it (companion.h); counts are not judged meanwhile. Each note begins with the act's words. Private to this folder.
#pragma once

#include "harness/code/site.h"
#include "stress/code/body.h"
#include "stress/scenario/scenario_run.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace proberace {

class OwnProbes {
public:
  // `words` say which code it is.
  OwnProbes(ScenarioRun& run, std::size_t thread, std::string words)
      : run_(run), thread_(thread), words_(std::move(words)) {}

  Prober& prober() const noexcept { return *run_.prober_; }
  Target& target() const noexcept { return run_.target_; }
  bool controlled() const noexcept { return run_.controlled_; }

  void note(std::string property, std::string_view what) const;
  // Calls the function once.
  void call(Address entry, std::string_view when) const;
  // Notes an insertion or a removal that is refused without a reason the scenario gives.
  void judge(const Status& result, bool insert, const Body& body, std::string_view which = "") const;
  void judge_hits(std::uint64_t hits, std::uint64_t wanted, std::string_view when) const;
  void judge_bytes(Address start, std::span<const std::uint8_t> wanted) const;
  // Of code in which a probe was left armed: stays mapped until the prober is closed.
  void keep(Text text) const;

private:
  ScenarioRun& run_;
  std::size_t thread_;
  std::string words_;
};

// A thread that did not stop in time left a probe armed: nothing more can be said of this code, or done with it.
bool is_left_armed(const Status& removed) noexcept;

} // namespace proberace
