// Stops every thread of this process but the caller's by a signal, runs a function, lets them go.
//
// Idea: each thread is sent a real-time signal of ours and waits in its handler, at whatever instruction it
// was. Trade-off against a helper that traces (thread_stopper.h): no other process, and no stop of a thread
// that blocks the signal (H08); a system call it interrupts may return EINTR (H19). Signals a thread takes in
// the handler wait until it is let go.
#pragma once

#include "harness/base/error.h"
#include "harness/base/signal_action.h"
#include "harness/probe/footprint.h"

namespace proberace {

class Rendezvous {
public:
  Rendezvous() = default;
  ~Rendezvous() { close(); }
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  // Takes a real-time signal that the program leaves at its default. NoRoom if there is none; AlreadyOpen if
  // this process has a rendezvous open already.
  Status open();
  void close();

  // `job` runs while every other thread waits in the handler. ThreadWouldNotStop names one that does not
  // arrive within kRendezvousTimeout; then `job` has not run and every thread continues.
  Status while_stopped(void (*job)(void*) noexcept, void* argument);

  Footprint footprint() const;

private:
  int signo_ = 0;
  SignalAction before_{};
};

} // namespace proberace
