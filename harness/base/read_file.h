// Reads a file that a user has named.
#pragma once

#include "harness/base/error.h"

#include <string>

namespace proberace {

// All of it; "-" is standard input. BadInput names the path and says why it cannot be read: a folder is one reason.
std::expected<std::string, Error> read_file(const std::string& path);

} // namespace proberace
