// The places in a program that names of probes mean. One name may have several places, and several names one place.
#pragma once

#include "harness/base/error.h"
#include "harness/code/decode.h"
#include "harness/code/target.h"
#include "stress/names/probe_name.h"

#include <span>
#include <string>
#include <vector>

namespace proberace {

// A probe as a user wrote it, in each way in which it can be read.
using ProbeReadings = std::vector<ProbeName>;

struct ProbePlace {
  std::vector<std::string> names; // the probes that mean it, as the user wrote them
  std::string place;              // "libc.so.6:memcpy@GLIBC_2.14+4"
  Site site;
  Instruction instruction;
};

struct RefusedProbe {
  std::vector<std::string> names;
  std::string place; // "" if it has none
  Error error;
};

struct ProbePlaces {
  std::vector<ProbePlace> places; // in the order of the names, then of addresses; each once
  std::vector<RefusedProbe> refused;
};

// "malloc, libc.so.6:malloc"
std::string joined(const std::vector<std::string>& names);

// Precondition: the target is another process, whose libraries are loaded. Names that mean nothing there are refused,
// and so are places where no instruction can be probed.
ProbePlaces locate(std::span<const ProbeReadings> probes, const Target& target);

} // namespace proberace
