// A program that ends at once: what a child becomes where any program would do. It costs a third of
// /bin/true, most of which is the dynamic loader's.
#pragma once

namespace proberace {

// The calling process becomes it, and ends with status 0. Returns if that failed. signal-safe.
void become_empty_program() noexcept;

} // namespace proberace
