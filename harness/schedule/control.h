// What a schedule point calls where points are compiled in (point.h). All signal-safe, and nothing on a
// thread that no controlled run knows.
#pragma once

#include "harness/base/address.h"

namespace proberace::schedule::detail {

void pass(const char* step, Address site) noexcept;
bool wait(const char* step, Address site) noexcept;
void signalled(int thread) noexcept;
bool holds_back(int thread) noexcept;

} // namespace proberace::schedule::detail
