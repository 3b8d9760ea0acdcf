#include "stress/transparency/isa/comparison.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace proberace {

namespace {

constexpr std::ptrdiff_t kRedZone = 128; // System V ABI, x86-64, 3.2.2

class Comparison {
public:
  Comparison(const PreparedCase& c, const CaseSpace& space, const Promises& promises, const CaseEnd& native,
             const CaseEnd& probed)
      : c_(c), space_(space), promises_(promises), native_(native), probed_(probed) {}

  std::vector<std::string> run() {
    compare_fault();
    compare_registers();
    compare_vectors();
    compare_data();
    compare_stack();
    return std::move(found_);
  }

private:
  template <typename... T> void note(fmt::format_string<T...> text, T&&... values) {
    found_.push_back(fmt::format(text, std::forward<T>(values)...));
  }

  // A strategy that does not promise the fault's PC may report another, and what the kernel derives from it.
  bool pc_may_differ() const {
    return faulted_at_site(c_, native_) && !promises_.has(Promise::FaultsSeeOriginalPc);
  }

  // Its handler then sees the thread inside the relocated code. A call to an address that is not canonical
  // faults at the call, and the processor has stored the return address by then. If the slot holds a call, that
  // is the slot's.
  bool call_faulted() const { return pc_may_differ() && c_.instruction.flow == Flow::AbsoluteCall; }

  // The thread is behind the push that stands for the call's own.
  bool pushed_before_fault() const {
    return call_faulted() && probed_.run.state.at(Register::Rsp) + 8 == native_.run.state.at(Register::Rsp);
  }

  void compare_fault() {
    const HardwareFault& n = native_.run.fault;
    const HardwareFault& p = probed_.run.fault;
    if (n.signal != p.signal || n.code != p.code)
      note("signal {} code {}, probed {} code {}", n.signal, n.code, p.signal, p.code);
    const bool names_the_pc = n.address == Address{native_.run.state.at(Register::Rip)};
    if (n.address != p.address && !(pc_may_differ() && names_the_pc))
      note("fault address {:#x}, probed {:#x}", value(n.address), value(p.address));
  }

  void compare_registers() {
    const MachineState& n = native_.run.state;
    const MachineState& p = probed_.run.state;
    for (const auto& [r, register_name] : kRegisters) {
      if (r == Register::Rip && pc_may_differ())
        continue;
      if (std::ranges::find(c_.anatomy.unpredictable, r) != c_.anatomy.unpredictable.end() ||
          (r == Register::Rflags && c_.anatomy.unpredictable_flags))
        continue;
      if (r == Register::Rsp && pushed_before_fault())
        continue;
      if (n.at(r) != p.at(r))
        note("{} {:#x}, probed {:#x}", register_name, n.at(r), p.at(r));
    }
  }

  void compare_vectors() {
    const auto& n = native_.run.state.vector;
    const auto& p = probed_.run.state.vector;
    for (const VectorField& f : vector_fields()) {
      if (std::memcmp(&n[f.offset], &p[f.offset], f.bytes) == 0)
        continue;
      // Lost (0) where the processor does not keep it across the kernel (H78); or a slot's, where the PC
      // itself may be one.
      const bool lost = std::all_of(&p[f.offset], &p[f.offset] + f.bytes, [](auto b) { return b == 0; });
      if (f.last_instruction && (lost || !promises_.has(Promise::SignalsSeeOriginalPc)))
        continue;
      note("{} {:02x}, probed {:02x}", f.name, fmt::join(&n[f.offset], &n[f.offset] + f.bytes, ""),
           fmt::join(&p[f.offset], &p[f.offset] + f.bytes, ""));
    }
  }

  void compare_data() {
    const auto [n, p] = std::ranges::mismatch(native_.data, probed_.data);
    if (n != native_.data.end())
      note("data + {:#x}: {:#04x}, probed {:#04x}", n - native_.data.begin(), *n, *p);
  }

  // Where the call's return address lies in the copy of the stack; it may be outside.
  std::ptrdiff_t return_address() const {
    return Address{native_.run.state.at(Register::Rsp)} - 8 - space_.stack();
  }

  static void copy_word(const std::vector<std::uint8_t>& from, std::vector<std::uint8_t>& to,
                        std::ptrdiff_t at) {
    if (at >= 0 && at <= std::ssize(from) - 8)
      std::copy_n(from.begin() + at, 8, to.begin() + at);
  }

  // Below the red zones of before and after, signal frames may lie.
  void compare_stack() {
    if (pushed_before_fault())
      return;
    const Address highest{std::max(c_.start.at(Register::Rsp), native_.run.state.at(Register::Rsp))};
    const Address from = std::max(space_.stack(), std::min(highest - kRedZone, space_.stack_end()));
    const auto skip = from - space_.stack();
    std::vector<std::uint8_t> probed = probed_.stack;
    if (call_faulted())
      copy_word(native_.stack, probed, return_address());
    const auto [n, p] =
        std::mismatch(native_.stack.begin() + skip, native_.stack.end(), probed.begin() + skip);
    if (n != native_.stack.end())
      note("stack at rsp {:+}: {:#04x}, probed {:#04x}",
           space_.stack() + (n - native_.stack.begin()) - Address{c_.start.at(Register::Rsp)}, *n, *p);
  }

  const PreparedCase& c_;
  const CaseSpace& space_;
  const Promises& promises_;
  const CaseEnd& native_;
  const CaseEnd& probed_;
  std::vector<std::string> found_;
};

std::vector<std::uint8_t> copy_of(Address from, std::size_t bytes) {
  return {bytes_at(from), bytes_at(from) + bytes};
}

} // namespace

CaseEnd run_case(BareRunner& runner, const PreparedCase& c, const CaseSpace& space) {
  fill_memory(c, space);
  CaseEnd end;
  end.run = runner.run(c.start);
  end.data = copy_of(space.data(), CaseSpace::kDataBytes);
  end.stack = copy_of(space.stack(), CaseSpace::kStackUsed);
  return end;
}

bool faulted_at_site(const PreparedCase& c, const CaseEnd& end) {
  return Address{end.run.state.at(Register::Rip)} == c.instruction.address;
}

std::vector<std::string> differences(const PreparedCase& c, const CaseSpace& space, const Promises& promises,
                                     const CaseEnd& native, const CaseEnd& probed) {
  return Comparison(c, space, promises, native, probed).run();
}

} // namespace proberace
