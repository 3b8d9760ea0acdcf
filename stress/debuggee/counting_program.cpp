#include "stress/debuggee/counting_program.h"

#include "harness/base/failure.h"

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <sys/stat.h>
#include <sys/user.h>

namespace proberace {

namespace {

// Instructions (Documentation/bpf/standardization/instruction-set.rst).
bpf_insn instruction(unsigned code, unsigned to, unsigned from, int offset, std::int32_t immediate) {
  bpf_insn i{};
  i.code = static_cast<std::uint8_t>(code);
  i.dst_reg = to & 0xF;
  i.src_reg = from & 0xF;
  i.off = static_cast<std::int16_t>(offset);
  i.imm = immediate;
  return i;
}
bpf_insn move(unsigned to, unsigned from) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}
bpf_insn move_value(unsigned to, std::int32_t value) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}
bpf_insn add_value(unsigned to, std::int32_t value) {
  return instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value);
}
bpf_insn store(unsigned size, int at, unsigned from) { // on the stack
  return instruction(BPF_STX | BPF_MEM | size, BPF_REG_10, from, at, 0);
}
bpf_insn store_value(unsigned size, int at, std::int32_t value) {
  return instruction(BPF_ST | BPF_MEM | size, BPF_REG_10, 0, at, value);
}
bpf_insn call(std::int32_t helper) {
  return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
bpf_insn jump_if(unsigned condition, unsigned left, std::int32_t right, int distance) {
  return instruction(BPF_JMP | condition | BPF_K, left, 0, distance, right);
}

// Appends instructions; distances of jumps are fixed when their target is there.
class Assembly {
public:
  void add(std::initializer_list<bpf_insn> more) { code_.insert(code_.end(), more); }
  void load_64(unsigned to, unsigned kind, std::uint64_t value) {
    add({instruction(BPF_LD | BPF_DW | BPF_IMM, to, kind, 0, static_cast<std::int32_t>(value)),
         instruction(0, 0, 0, 0, static_cast<std::int32_t>(value >> 32))});
  }
  // r1 = map, r2 = key; r0 = the counter or null.
  void look_up(int map, int key_at) {
    load_64(BPF_REG_1, BPF_PSEUDO_MAP_FD, static_cast<std::uint32_t>(map));
    add({move(BPF_REG_2, BPF_REG_10), add_value(BPF_REG_2, key_at), call(BPF_FUNC_map_lookup_elem)});
  }
  // If r0 is a counter: adds one and ends the program.
  void count_and_end() {
    add({jump_if(BPF_JEQ, BPF_REG_0, 0, 4), move_value(BPF_REG_1, 1),
         instruction(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_0, BPF_REG_1, 0, BPF_ADD),
         move_value(BPF_REG_0, 0), instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  }
  const std::vector<bpf_insn>& code() const { return code_; }

private:
  std::vector<bpf_insn> code_;
};

} // namespace

std::expected<std::vector<bpf_insn>, Error> counting_program(int map, pid_t process) {
  struct stat space {};
  if (::stat("/proc/self/ns/pid", &space) != 0)
    return std::unexpected(system_error("/proc/self/ns/pid", errno));
  constexpr int kIds = -8; // struct bpf_pidns_info: the thread, then the process
  constexpr int kKey = -24, kKeyThread = kKey + 8;
  constexpr int kOne = -32;
  constexpr int kLostKey = -48;
  constexpr int kInstructionPointer = offsetof(user_regs_struct, rip); // of the kernel's pt_regs, too
  Assembly a;
  a.add({instruction(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_1, kInstructionPointer, 0),
         store(BPF_DW, kKey, BPF_REG_2), store_value(BPF_DW, kIds, 0)});
  a.load_64(BPF_REG_1, 0, space.st_dev);
  a.load_64(BPF_REG_2, 0, space.st_ino);
  a.add({move(BPF_REG_3, BPF_REG_10), add_value(BPF_REG_3, kIds), move_value(BPF_REG_4, 8),
         call(BPF_FUNC_get_ns_current_pid_tgid),
         // The process.
         instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10, kIds + 4, 0),
         jump_if(BPF_JEQ, BPF_REG_1, process, 2), move_value(BPF_REG_0, 0),
         instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
         // The thread.
         instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10, kIds, 0),
         store(BPF_DW, kKeyThread, BPF_REG_1)});
  a.look_up(map, kKey);
  a.count_and_end();
  a.add({store_value(BPF_DW, kOne, 1)});
  a.load_64(BPF_REG_1, BPF_PSEUDO_MAP_FD, static_cast<std::uint32_t>(map));
  a.add({move(BPF_REG_2, BPF_REG_10), add_value(BPF_REG_2, kKey), move(BPF_REG_3, BPF_REG_10),
         add_value(BPF_REG_3, kOne), move_value(BPF_REG_4, BPF_NOEXIST), call(BPF_FUNC_map_update_elem),
         jump_if(BPF_JNE, BPF_REG_0, 0, 2), move_value(BPF_REG_0, 0),
         instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  // The counter is there by now, or the map has no room.
  a.look_up(map, kKey);
  a.count_and_end();
  a.add({move_value(BPF_REG_1, -1), store(BPF_DW, kLostKey, BPF_REG_1),
         store(BPF_DW, kLostKey + 8, BPF_REG_1)});
  a.look_up(map, kLostKey);
  a.count_and_end();
  a.add({move_value(BPF_REG_0, 0), instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)});
  return a.code();
}

} // namespace proberace
