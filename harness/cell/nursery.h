// The process cells are forked from. Private to cell/.
#pragma once

#include "harness/cell/arena.h"

namespace proberace {

class Nursery {
public:
  // Maps the arena and forks the nursery process. Aborts with a message if the machine gives neither.
  Nursery();
  ~Nursery();
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  Arena& arena() noexcept { return *arena_; }
  // Runs the spec that lies in the arena. Returns when the child has ended or was killed at its deadline.
  void run();

private:
  Arena* arena_ = nullptr;
  int socket_ = -1;
  int process_ = -1;
};

// In the child: reads the spec, runs the experiment, writes its outcome. Does not return.
[[noreturn]] void run_child(Arena& arena);

} // namespace proberace
