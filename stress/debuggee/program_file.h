// The file of a program that is to be started.
#pragma once

#include "harness/base/error.h"

#include <string>

namespace proberace {

// Looks at it before it runs, found as execvp(3) finds it. BadInput if it cannot be executed, is no 64-bit program,
// or would get other rights than its caller's, which a traced or probed program does not get.
Status can_be_started(const std::string& program);

} // namespace proberace
