// stop-world: stop every other thread, write, let them go.
//
// Idea: what utrace did inside the kernel, from outside or by signal, so that no thread runs while the byte
// changes. `stop-world/ptrace`: a helper seizes every thread (thread_stopper.h). `stop-world/rendezvous`:
// each thread is sent a signal and waits in its handler (rendezvous.h). Trade-off: no question of
// cross-modifying code is left, and the price is a stop of the whole process whose length grows with its
// threads; system calls that do not restart return EINTR (H19).
#include "harness/probe/registry.h"
#include "strategies/arm/rendezvous.h"
#include "strategies/arm/thread_stopper.h"

namespace proberace {

namespace {

template <typename Stopper> class StopWorld final : public Armer {
public:
  explicit StopWorld(std::string_view name) : name_(name) {}

  std::string_view name() const noexcept override { return name_; }
  // SyscallsUndisturbed: a stop makes epoll_wait return EINTR. HelperMayDie: an insertion waits for its
  // helper.
  Promises promises() const noexcept override {
    const Promises both = Promises::all_but({Promise::SyscallsUndisturbed});
    return std::is_same_v<Stopper, ThreadStopper> ? both & Promises::all_but({Promise::HelperMayDie}) : both;
  }
  Facts facts() const noexcept override {
    return {.stops_threads = true, .threads_must_answer = std::is_same_v<Stopper, Rendezvous>};
  }

  Status open(TargetCode& code) override {
    code_ = &code;
    return code.from_outside() ? Status{} : stopper_.open();
  }
  void close() override { stopper_.close(); }
  // A supervisor has stopped the threads itself; it needs no second tracer.
  bool works_from_outside() const noexcept override { return std::is_same_v<Stopper, ThreadStopper>; }

  void arm(const AddressSpace&, std::span<ByteWrite> batch) override { write_stopped(batch, true); }
  void disarm(std::span<ByteWrite> batch) override { write_stopped(batch, false); }

  Footprint footprint() const override { return stopper_.footprint(); }

private:
  struct Job {
    TargetCode& code;
    std::span<ByteWrite> batch;
    bool arming;
    int error = 0; // errno of the first failing write
    std::size_t written = 0;
  };

  // Runs while every other thread is stopped: signal-safe, no libc.
  static void write_all(void* argument) noexcept {
    Job& job = *static_cast<Job*>(argument);
    for (const ByteWrite& write : job.batch) {
      const std::uint8_t byte = job.arming ? kInt3 : write.original;
      job.error = job.code.write(write.address, {&byte, 1});
      if (job.error != 0)
        return;
      ++job.written;
    }
  }

  void write_stopped(std::span<ByteWrite> batch, bool arming) {
    // A write that fails must not keep the rest of the batch from being written: continue behind it.
    for (std::span<ByteWrite> rest = batch; !rest.empty();) {
      Job job{*code_, rest, arming};
      const Status stopped = code_->from_outside() ? code_->while_stopped(&write_all, &job)
                                                   : stopper_.while_stopped(&write_all, &job);
      if (!stopped) {
        for (ByteWrite& write : rest)
          write.error = Error{stopped.error().kind, write.address, stopped.error().message};
        break;
      }
      if (job.error != 0) {
        rest[job.written].error =
            system_error("cannot write through /proc/self/mem", job.error, rest[job.written].address);
        ++job.written;
      }
      rest = rest.subspan(job.written);
    }
    code_->serialise(); // a stopped thread need not serialise on its way back to user mode (sysret)
  }

  const std::string_view name_;
  TargetCode* code_ = nullptr;
  Stopper stopper_;
};

template <typename Stopper> bool add(std::string_view name, const char* summary) {
  return register_armer(std::string(name), summary,
                        [=] { return std::make_unique<StopWorld<Stopper>>(name); });
}

const bool registered =
    add<ThreadStopper>("stop-world/ptrace",
                       "a helper stops every thread with ptrace, writes, lets them go") &&
    add<Rendezvous>("stop-world/rendezvous", "a signal makes every thread wait in a handler meanwhile") &&
    claim_plain_name("stop-world/ptrace") && claim(Role::StoppingArmer, "stop-world/ptrace");

} // namespace

} // namespace proberace
