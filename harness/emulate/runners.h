// One runner for each shape of instruction. All are signal-safe: no allocation, no lock, no libc, no decoder.
//
// Each follows one order, so that a fault leaves nothing done (H32): read everything, compute, write memory,
// and only then registers, flags and the PC.
#pragma once

#include "harness/emulate/micro_plan.h"

namespace proberace::run {

void nothing(TrapContext&, const MicroPlan&) noexcept; // nop, endbr64, prefetch
void move(TrapContext&, const MicroPlan&) noexcept;    // mov, movzx, movsx: `to` wider than `from`
void move_register(TrapContext&, const MicroPlan&) noexcept;
void load_address(TrapContext&, const MicroPlan&) noexcept;
void set_byte(TrapContext&, const MicroPlan&) noexcept;         // setcc
void conditional_move(TrapContext&, const MicroPlan&) noexcept; // cmovcc
void push(TrapContext&, const MicroPlan&) noexcept;
void pop(TrapContext&, const MicroPlan&) noexcept;
void leave(TrapContext&, const MicroPlan&) noexcept;

void jump(TrapContext&, const MicroPlan&) noexcept; // to `from`, or to `target`
void jump_if(TrapContext&, const MicroPlan&) noexcept;
void call(TrapContext&, const MicroPlan&) noexcept;
void return_near(TrapContext&, const MicroPlan&) noexcept;
void jump_if_counter_zero(TrapContext&, const MicroPlan&) noexcept; // jrcxz, jecxz
void loop(TrapContext&, const MicroPlan&) noexcept;                 // loop
void loop_while(TrapContext&, const MicroPlan&) noexcept;           // loope, loopne: by `condition`

void move_vector(TrapContext&, const MicroPlan&) noexcept; // some bytes of an xmm register, to or from it
void and_vector(TrapContext&, const MicroPlan&) noexcept;
void and_not_vector(TrapContext&, const MicroPlan&) noexcept;
void or_vector(TrapContext&, const MicroPlan&) noexcept;
void xor_vector(TrapContext&, const MicroPlan&) noexcept;

void compute(TrapContext&, const MicroPlan&) noexcept;          // by the thunk, as wired
void compute_in_place(TrapContext&, const MicroPlan&) noexcept; // the same on memory it reads and writes
void divide(TrapContext&, const MicroPlan&) noexcept;           // the same, after looking for a divide error
void compute_locked(TrapContext&, const MicroPlan&) noexcept;   // by a locked thunk, on the memory in place

} // namespace proberace::run
