// Functions that a schedule point calls where points are compiled in (point.h). All are signal-safe, and do
// nothing on a thread that no controlled run knows.
#pragma once

#include "harness/base/address.h"

namespace proberace::schedule::detail {

void pass(const char* step, Address site) noexcept;
bool wait(const char* step, Address site) noexcept;
void signalled(int thread) noexcept;
bool holds_back(int thread) noexcept;

// For threads that a supervisor process stops at traps (stopped_tasks.cpp). Called by the supervisor:
bool stopped(int thread, const char* step) noexcept;
bool granted(int thread) noexcept;
void withdrawn(int thread) noexcept;
void leave() noexcept;
// Called by the process that it traces:
void open_relay() noexcept;
bool await_grant() noexcept;
void close_relay() noexcept;

} // namespace proberace::schedule::detail
