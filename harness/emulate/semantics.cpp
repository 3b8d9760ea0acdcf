#include "harness/emulate/semantics.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace proberace {

namespace {

using Output = ThunkWiring::Output;

constexpr Wiring kBinary{Wire::Op0, Wire::Op1, Wire::None, Output::Rax, Wire::Op0};
constexpr Wiring kCompare{Wire::Op0, Wire::Op1};
constexpr Wiring kUnary{Wire::Op0, Wire::None, Wire::None, Output::Rax, Wire::Op0};
constexpr Wiring kShift{Wire::Op0, Wire::None, Wire::Op1, Output::Rax, Wire::Op0};
constexpr Wiring kThree{Wire::Op0, Wire::Op1, Wire::Op2, Output::Rax, Wire::Op0};
constexpr Wiring kWide{Wire::Accumulator, Wire::Data,  Wire::Op0, Output::Rax,
                       Wire::Accumulator, Output::Rdx, Wire::Data};
// The source first: where both are one register, the destination's value stays.
constexpr Wiring kExchange{Wire::Op0, Wire::Op1, Wire::None, Output::Rdx, Wire::Op1, Output::Rax, Wire::Op0};
constexpr Wiring kCompareExchange{Wire::Accumulator, Wire::Op1,   Wire::Op0, Output::Rax,
                                  Wire::Accumulator, Output::Rcx, Wire::Op0};
constexpr Wiring kAccumulator{Wire::Accumulator, Wire::None, Wire::None, Output::Rax, Wire::Accumulator};
constexpr Wiring kSpread{Wire::Accumulator, Wire::Data, Wire::None, Output::Rdx, Wire::Data};
constexpr Wiring kFromAccumulator{Wire::Accumulator};
constexpr Wiring kFlagsOnly{};

constexpr ComputeRow kComputations[] = {
    {"add", &kBinary},
    {"adc", &kBinary},
    {"sub", &kBinary},
    {"sbb", &kBinary},
    {"and", &kBinary},
    {"or", &kBinary},
    {"xor", &kBinary},
    {"cmp", &kCompare},
    {"test", &kCompare},
    {"inc", &kUnary},
    {"dec", &kUnary},
    {"neg", &kUnary},
    {"not", &kUnary},
    {"bswap", &kUnary},
    {"shl", &kShift},
    {"shr", &kShift},
    {"sar", &kShift},
    {"rol", &kShift},
    {"ror", &kShift},
    {"rcl", &kShift},
    {"rcr", &kShift},
    {"shld", &kThree},
    {"shrd", &kThree},
    {"imul", &kWide, "imul1", 0, 1},
    {"imul", &kBinary, {}, 0, 2},
    {"imul", &kThree, "imul3", 0, 3},
    {"mul", &kWide},
    {"div", &kWide, {}, 0, 0, &run::divide},
    {"idiv", &kWide, {}, 0, 0, &run::divide},
    {"xchg", &kExchange},
    {"xadd", &kExchange},
    {"cmpxchg", &kCompareExchange},
    {"bt", &kCompare},
    {"bts", &kBinary},
    {"btr", &kBinary},
    {"btc", &kBinary},
    {"bsf", &kBinary},
    {"bsr", &kBinary},
    {"tzcnt", &kBinary},
    {"lzcnt", &kBinary},
    {"popcnt", &kBinary},
    {"cbw", &kAccumulator, {}, 2},
    {"cwde", &kAccumulator, {}, 4},
    {"cdqe", &kAccumulator, {}, 8},
    {"cwd", &kSpread, {}, 2},
    {"cdq", &kSpread, {}, 4},
    {"cqo", &kSpread, {}, 8},
    {"lahf", &kAccumulator, {}, 2},
    {"sahf", &kFromAccumulator, {}, 2},
    {"stc", &kFlagsOnly},
    {"clc", &kFlagsOnly},
    {"cmc", &kFlagsOnly},
    {"mfence", &kFlagsOnly},
    {"lfence", &kFlagsOnly},
    {"sfence", &kFlagsOnly},
};

using Rest = VectorRow::Rest;

constexpr VectorRow kVectors[] = {
    {"movaps", &run::move_vector, 16, Rest::Stays, true},
    {"movapd", &run::move_vector, 16, Rest::Stays, true},
    {"movdqa", &run::move_vector, 16, Rest::Stays, true},
    {"movups", &run::move_vector, 16},
    {"movupd", &run::move_vector, 16},
    {"movdqu", &run::move_vector, 16},
    {"lddqu", &run::move_vector, 16},
    {"movd", &run::move_vector, 4, Rest::Zeroed},
    {"movq", &run::move_vector, 8, Rest::Zeroed},
    {"movss", &run::move_vector, 4, Rest::ZeroedByMemory},
    {"movsd", &run::move_vector, 8, Rest::ZeroedByMemory},
    {"movlps", &run::move_vector, 8},
    {"movlpd", &run::move_vector, 8},
    {"movhps", &run::move_vector, 8, Rest::Stays, false, 8, 8},
    {"movhpd", &run::move_vector, 8, Rest::Stays, false, 8, 8},
    {"movlhps", &run::move_vector, 8, Rest::Stays, false, 8, 0},
    {"movhlps", &run::move_vector, 8, Rest::Stays, false, 0, 8},
    // From memory it asks for 16 bytes and takes 8.
    {"punpcklqdq", &run::move_vector, 8, Rest::Stays, false, 8, 0, VectorRow::Memory::None},
    {"pand", &run::and_vector, 16, Rest::Stays, true},
    {"andps", &run::and_vector, 16, Rest::Stays, true},
    {"andpd", &run::and_vector, 16, Rest::Stays, true},
    {"pandn", &run::and_not_vector, 16, Rest::Stays, true},
    {"andnps", &run::and_not_vector, 16, Rest::Stays, true},
    {"andnpd", &run::and_not_vector, 16, Rest::Stays, true},
    {"por", &run::or_vector, 16, Rest::Stays, true},
    {"orps", &run::or_vector, 16, Rest::Stays, true},
    {"orpd", &run::or_vector, 16, Rest::Stays, true},
    {"pxor", &run::xor_vector, 16, Rest::Stays, true},
    {"xorps", &run::xor_vector, 16, Rest::Stays, true},
    {"xorpd", &run::xor_vector, 16, Rest::Stays, true},
};

constexpr ShapeRow kShapes[] = {
    {"nop", Shape::Nothing},
    {"pause", Shape::Nothing},
    {"endbr64", Shape::Nothing},
    {"endbr32", Shape::Nothing},
    {"prefetchnta", Shape::Nothing}, // a hint, and never a fault
    {"prefetcht0", Shape::Nothing},
    {"prefetcht1", Shape::Nothing},
    {"prefetcht2", Shape::Nothing},
    {"prefetchw", Shape::Nothing},
    {"mov", Shape::Move},
    {"movzx", Shape::Move},
    {"movsx", Shape::MoveSigned},
    {"movsxd", Shape::MoveSigned},
    {"lea", Shape::LoadAddress},
    {"push", Shape::Push},
    {"pop", Shape::Pop},
    {"leave", Shape::Leave},
    {"jmp", Shape::Jump},
    {"call", Shape::Call},
    {"ret", Shape::Return},
    {"jrcxz", Shape::CounterZero64},
    {"jecxz", Shape::CounterZero32},
    {"loop", Shape::Loop},
    {"loope", Shape::LoopWhile, 4},
    {"loopne", Shape::LoopWhile, 5},
};

// By the low four bits of the opcode (SDM vol. 2D, table B-10), in the decoder's spelling.
constexpr std::string_view kConditions[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                              "s", "ns", "p", "np", "l", "nl", "le", "nle"};

struct ConditionalRow {
  std::string_view prefix;
  Shape shape;
};
constexpr ConditionalRow kConditional[] = {
    {"j", Shape::JumpIf}, {"set", Shape::SetByte}, {"cmov", Shape::ConditionalMove}};

struct Shapes {
  std::vector<std::string> names; // of the conditional ones
  std::vector<ShapeRow> rows;
  std::unordered_map<std::string_view, const ShapeRow*> by_mnemonic;

  Shapes() : rows(std::begin(kShapes), std::end(kShapes)) {
    names.reserve(std::size(kConditional) * std::size(kConditions)); // rows refer to them
    for (const ConditionalRow& row : kConditional)
      for (std::size_t c = 0; c < std::size(kConditions); ++c)
        rows.push_back({names.emplace_back(std::string(row.prefix).append(kConditions[c])), row.shape,
                        static_cast<std::uint8_t>(c)});
    for (const ShapeRow& row : rows)
      by_mnemonic.emplace(row.mnemonic, &row);
  }
};

const Shapes& shapes() {
  static const Shapes instance;
  return instance;
}

} // namespace

std::span<const ShapeRow> shape_rows() {
  return shapes().rows;
}

std::span<const ComputeRow> compute_rows() {
  return kComputations;
}

std::span<const VectorRow> vector_rows() {
  return kVectors;
}

const VectorRow* vector_row_of(std::string_view mnemonic) {
  for (const VectorRow& row : kVectors)
    if (row.mnemonic == mnemonic)
      return &row;
  return nullptr;
}

const ShapeRow* shape_of(std::string_view mnemonic) {
  const auto found = shapes().by_mnemonic.find(mnemonic);
  return found != shapes().by_mnemonic.end() ? found->second : nullptr;
}

const ComputeRow* computation_of(std::string_view mnemonic, std::size_t operands) {
  for (const ComputeRow& row : kComputations)
    if (row.mnemonic == mnemonic && (row.operands == 0 || row.operands == operands))
      return &row;
  return nullptr;
}

} // namespace proberace
