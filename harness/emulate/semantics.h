// The effect of each instruction, as data: mnemonic -> runner, or mnemonic -> thunk and how it is wired to
// the operands. A mnemonic that is not here cannot be emulated.
#pragma once

#include "harness/emulate/runners.h"

#include <span>
#include <string_view>

namespace proberace {

// The source or destination of a thunk's register.
enum class Wire : std::uint8_t { None, Op0, Op1, Op2, Accumulator, Data }; // Data: rdx

struct Wiring {
  Wire rax = Wire::None, rdx = Wire::None, rcx = Wire::None;
  ThunkWiring::Output first_from = ThunkWiring::Output::None;
  Wire first_to = Wire::None;
  ThunkWiring::Output second_from = ThunkWiring::Output::None;
  Wire second_to = Wire::None;
};

struct ComputeRow {
  std::string_view mnemonic;
  const Wiring* wiring;
  std::string_view thunk = {}; // the mnemonic's own, if empty
  std::uint8_t bytes = 0;      // operand size; that of the first operand, if 0
  std::uint8_t operands = 0;   // only with this many; any number, if 0
  void (*run)(TrapContext&, const MicroPlan&) noexcept = &run::compute;
};

enum class Shape : std::uint8_t {
  Nothing,
  Move,
  MoveSigned,
  LoadAddress,
  Push,
  Pop,
  Leave,
  Jump,
  Call,
  Return,
  CounterZero32,
  CounterZero64,
  Loop,
  LoopWhile,
  JumpIf,
  SetByte,
  ConditionalMove,
};

struct ShapeRow {
  std::string_view mnemonic;
  Shape shape;
  std::uint8_t condition = 0;
};

// An SSE instruction on whole or half xmm registers.
struct VectorRow {
  std::string_view mnemonic;
  void (*run)(TrapContext&, const MicroPlan&) noexcept;
  std::uint8_t bytes;                                                                  // moved
  enum class Rest : std::uint8_t { Stays, ZeroedByMemory, Zeroed } rest = Rest::Stays; // of the destination
  bool aligned = false;                                                                // in memory
  std::uint8_t to_at = 0, from_at = 0; // the first byte in a register
  enum class Memory : std::uint8_t { Either, None } memory = Memory::Either;
};

const VectorRow* vector_row_of(std::string_view mnemonic);
const ShapeRow* shape_of(std::string_view mnemonic);
const ComputeRow* computation_of(std::string_view mnemonic, std::size_t operands);

std::span<const ShapeRow> shape_rows();
std::span<const ComputeRow> compute_rows();
std::span<const VectorRow> vector_rows();

} // namespace proberace
