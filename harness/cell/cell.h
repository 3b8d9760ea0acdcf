// Running one experiment in a child process of its own.
//
// Idea: children are forked from the nursery, a small single-threaded process, because forking a threaded one
// breaks locks, sanitizers and thread lists; parent and child share an arena, so a child that crashes or
// hangs still leaves its evidence. A cell is described by a value that prints as one line of JSON and can be
// run again from that line.
#pragma once

#include "harness/cell/verdict.h"

#include <chrono>
#include <cstddef>
#include <expected>
#include <string>

namespace proberace {

struct CellSpec {
  std::string experiment;
  Json parameters = Json::object();
  std::chrono::milliseconds deadline{10'000}; // in time that others leave it (patience.h)

  std::string line() const;
};

// The inverse of line(). A message for the user if the line is no cell.
std::expected<CellSpec, std::string> parse_cell(const std::string& line);

// Forks the nursery. Precondition: the process is single-threaded and has registered its experiments. Once
// per process.
void start_nursery();

// Runs the cell and waits for it, at most its deadline. Precondition: start_nursery(). One at a time.
// Survives whatever the child does.
Verdict run_cell(const CellSpec& spec);

// The arena's scratch as the experiment of the last cell left it, however it ended. Valid until the next
// run_cell.
std::byte* last_scratch();

} // namespace proberace
