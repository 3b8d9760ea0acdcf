// How a user writes what to probe: [OBJECT:]FUNCTION[@VERSION][+OFFSET], or OBJECT:0xADDRESS.
//
// Names of several languages hold : + @ and *, so one text may be read in several ways. The readings are tried in
// order: names as they stand come before parts that are split off. Quotes, double or single, around OBJECT or
// FUNCTION end the doubt: nothing in them is split off or expanded. A backslash before a quote keeps it.
#pragma once

#include "harness/base/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace proberace {

struct ProbeName {
  struct Part {
    std::string text{};
    bool quoted = false; // it stands for itself, not for a pattern
  };

  std::string text{};           // as the user wrote it
  std::optional<Part> object{}; // none: every object
  Part function{};              // a name, or a glob(7) pattern
  std::string version{};        // "" for all of them
  std::optional<std::uint64_t>
      address{};             // instead of a function: in the file's own numbering, as nm prints it
  std::ptrdiff_t offset = 0; // bytes
};

// In order of preference, at least one. BadInput, saying what is expected.
std::expected<std::vector<ProbeName>, Error> readings_of(const std::string& text);

// True if it holds *, ? or [ as patterns do.
bool is_pattern(const ProbeName::Part& part);

} // namespace proberace
