// stop-world: stop every other thread, write, let them go.
//
// Idea: what utrace did inside the kernel, from outside: a helper seizes every thread with ptrace
// (thread_stopper.h), so that no thread runs while the byte changes. Trade-off: no question of
// cross-modifying code is left, and the price is a stop of the whole process whose length grows with its
// threads.
#include "harness/probe/registry.h"
#include "strategies/arm/thread_stopper.h"

namespace proberace {

namespace {

class StopWorld final : public Armer {
public:
  std::string_view name() const noexcept override { return "stop-world"; }
  // SyscallsUndisturbed: a stop makes epoll_wait return EINTR. HelperMayDie: an insertion waits for its
  // helper.
  Promises promises() const noexcept override {
    return Promises::all_but({Promise::SyscallsUndisturbed, Promise::HelperMayDie});
  }

  Status open(TargetCode& code) override {
    code_ = &code;
    return code.from_outside() ? Status{} : stopper_.open();
  }
  void close() override { stopper_.close(); }
  bool works_from_outside() const noexcept override { return true; }

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

  // Runs in the helper while every other thread is stopped: signal-safe, no libc.
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
    // A write that fails must not keep the rest of the batch from being written: go on behind it.
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

  TargetCode* code_ = nullptr;
  ThreadStopper stopper_;
};

const bool registered =
    register_armer("stop-world", "a helper stops every thread with ptrace, writes, lets them go",
                   [] { return std::make_unique<StopWorld>(); });

} // namespace

} // namespace proberace
