// Which parameters of the kernel's command line change how long things take. Only these are recorded: the rest may
// hold what a machine's owner does not publish (disks, networks, keys).
#pragma once

#include <string>
#include <string_view>

namespace proberace {

// True for the name of such a parameter, without its value. As the kernel does, it takes '-' and '_' for the same.
bool changes_timing(std::string_view parameter) noexcept;

// Those parameters of a command line, with their values, in its order, separated by spaces.
std::string timing_parameters(std::string_view command_line);

} // namespace proberace
