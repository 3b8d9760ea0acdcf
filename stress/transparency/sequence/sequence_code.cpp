#include "stress/transparency/sequence/sequence_code.h"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace proberace {

namespace {

// rcx and r12 count, rsp is the stack's.
constexpr std::array kFree{ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RDX, ZYDIS_REGISTER_RBX, ZYDIS_REGISTER_RBP,
                           ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_R8,  ZYDIS_REGISTER_R9,
                           ZYDIS_REGISTER_R10, ZYDIS_REGISTER_R11, ZYDIS_REGISTER_R13, ZYDIS_REGISTER_R14,
                           ZYDIS_REGISTER_R15};
constexpr std::array kBinary{ZYDIS_MNEMONIC_MOV, ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_ADC, ZYDIS_MNEMONIC_SUB,
                             ZYDIS_MNEMONIC_SBB, ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_OR,  ZYDIS_MNEMONIC_XOR,
                             ZYDIS_MNEMONIC_CMP, ZYDIS_MNEMONIC_TEST};
constexpr std::array kUnary{ZYDIS_MNEMONIC_INC, ZYDIS_MNEMONIC_DEC, ZYDIS_MNEMONIC_NEG, ZYDIS_MNEMONIC_NOT,
                            ZYDIS_MNEMONIC_SHL, ZYDIS_MNEMONIC_SAR, ZYDIS_MNEMONIC_ROR, ZYDIS_MNEMONIC_RCL};
constexpr std::size_t kFirstByOne = 4; // of kUnary, those with a count, which is one
constexpr std::array kConditional{
    ZYDIS_MNEMONIC_JB,  ZYDIS_MNEMONIC_JNB, ZYDIS_MNEMONIC_JZ, ZYDIS_MNEMONIC_JNZ, ZYDIS_MNEMONIC_JL,
    ZYDIS_MNEMONIC_JNL, ZYDIS_MNEMONIC_JS,  ZYDIS_MNEMONIC_JO, ZYDIS_MNEMONIC_JP,  ZYDIS_MNEMONIC_JBE};
constexpr std::array kSet{ZYDIS_MNEMONIC_SETB, ZYDIS_MNEMONIC_SETNZ, ZYDIS_MNEMONIC_SETL,
                          ZYDIS_MNEMONIC_SETO};
constexpr std::array kSetInto{ZYDIS_REGISTER_AL, ZYDIS_REGISTER_DL, ZYDIS_REGISTER_BL, ZYDIS_REGISTER_R8B};
constexpr std::array kMoveIf{ZYDIS_MNEMONIC_CMOVB, ZYDIS_MNEMONIC_CMOVNZ, ZYDIS_MNEMONIC_CMOVLE,
                             ZYDIS_MNEMONIC_CMOVP};
constexpr std::array kVectors{ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM1, ZYDIS_REGISTER_XMM2,
                              ZYDIS_REGISTER_XMM3};
constexpr std::size_t kWords = 13; // of the red zone; with two words pushed they still lie in the outermost's
constexpr std::size_t kMostInner = 4; // steps: a short branch leads over them
constexpr std::size_t kLeaves = 3, kConstants = 4;
constexpr std::size_t kMostPushed = 2;

template <typename T, std::size_t N> T pick(const std::array<T, N>& from, std::uint8_t n) {
  return from[n % N];
}

ZydisEncoderOperand reg(ZydisRegister r) {
  ZydisEncoderOperand o{};
  o.type = ZYDIS_OPERAND_TYPE_REGISTER;
  o.reg.value = r;
  return o;
}

ZydisEncoderOperand imm(std::int64_t value) {
  ZydisEncoderOperand o{};
  o.type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
  o.imm.s = value;
  return o;
}

ZydisEncoderOperand memory(ZydisRegister base, std::int64_t displacement,
                           ZydisRegister index = ZYDIS_REGISTER_NONE, std::uint8_t scale = 0) {
  ZydisEncoderOperand o{};
  o.type = ZYDIS_OPERAND_TYPE_MEMORY;
  o.mem = {base, index, scale, displacement, 8};
  return o;
}

ZydisEncoderOperand red_zone(std::uint8_t n) {
  return memory(ZYDIS_REGISTER_RSP, -8 * static_cast<std::int64_t>(1 + n % kWords));
}

class Assembler {
public:
  void operator()(ZydisMnemonic mnemonic, std::initializer_list<ZydisEncoderOperand> operands,
                  ZydisInstructionAttributes prefixes = 0) {
    ZydisEncoderRequest request{};
    request.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
    request.mnemonic = mnemonic;
    request.prefixes = prefixes;
    request.operand_count = static_cast<ZyanU8>(operands.size());
    std::ranges::copy(operands, request.operands);
    append(request, (prefixes & ZYDIS_ATTRIB_HAS_REP) != 0);
  }

  // A branch whose target is not known yet.
  struct Branch {
    std::size_t end;
    std::size_t bytes; // of its displacement
  };
  Branch branch(ZydisMnemonic mnemonic, bool far = false) {
    ZydisEncoderRequest request{};
    request.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
    request.mnemonic = mnemonic;
    request.branch_type = far ? ZYDIS_BRANCH_TYPE_NEAR : ZYDIS_BRANCH_TYPE_SHORT;
    request.branch_width = far ? ZYDIS_BRANCH_WIDTH_32 : ZYDIS_BRANCH_WIDTH_8;
    request.operand_count = 1;
    request.operands[0] = imm(0);
    append(request, false);
    return {here(), far ? std::size_t{4} : std::size_t{1}};
  }
  // With a RIP-relative operand, patched in the same way. Nothing stands behind its displacement.
  Branch rip_relative(ZydisMnemonic mnemonic, ZydisRegister r) {
    (*this)(mnemonic, {reg(r), memory(ZYDIS_REGISTER_RIP, 0x7fff)}); // large: four bytes in any case
    return {here(), 4};
  }
  void bind(const Branch& b, std::size_t target) {
    const auto displacement = static_cast<std::int32_t>(target) - static_cast<std::int32_t>(b.end);
    if (b.bytes == 1 && displacement != static_cast<std::int8_t>(displacement))
      std::abort(); // kMostInner is too large
    std::memcpy(&code_.bytes[b.end - b.bytes], &displacement, b.bytes);
  }
  void bind_here(const Branch& b) { bind(b, here()); }

  std::size_t here() const { return code_.bytes.size(); }
  std::size_t instructions() const { return code_.instructions.size(); }
  void word(std::uint64_t value) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&value);
    code_.bytes.insert(code_.bytes.end(), bytes, bytes + sizeof value);
  }
  SequenceCode take() { return std::move(code_); }

private:
  void append(const ZydisEncoderRequest& request, bool repeats) {
    std::array<std::uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes{};
    ZyanUSize length = bytes.size();
    if (!ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&request, bytes.data(), &length)))
      std::abort(); // a row of ours is no instruction
    code_.instructions.push_back({static_cast<std::ptrdiff_t>(here()), repeats});
    code_.bytes.insert(code_.bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
  }

  SequenceCode code_;
};

class Writer {
public:
  explicit Writer(const std::vector<Step>& steps) : steps_(steps) {}

  SequenceCode run() {
    block(0, steps_.size());
    const std::size_t of_steps = emit_.instructions();
    for (std::size_t n = 0; n < kWords; ++n) { // rax = the word + 2 rax; no flags
      emit_(ZYDIS_MNEMONIC_MOV, {reg(ZYDIS_REGISTER_RCX), red_zone(static_cast<std::uint8_t>(n))});
      emit_(ZYDIS_MNEMONIC_LEA,
            {reg(ZYDIS_REGISTER_RAX), memory(ZYDIS_REGISTER_RCX, 0, ZYDIS_REGISTER_RAX, 2)});
    }
    emit_(ZYDIS_MNEMONIC_RET, {});
    leaves();
    for (const auto& [reference, n] : constants_used_)
      emit_.bind(reference, emit_.here() + 8 * n);
    for (std::uint64_t n = 0; n < kConstants; ++n)
      emit_.word(0x0123'4567'89ab'cdef * (2 * n + 1));
    SequenceCode code = emit_.take();
    code.of_steps = of_steps;
    return code;
  }

private:
  void leaves() {
    for (std::size_t leaf = 0; leaf < kLeaves; ++leaf) {
      for (const auto& [call, which] : calls_)
        if (which == leaf)
          emit_.bind_here(call);
      const ZydisRegister r = kFree[leaf + 1];
      emit_(ZYDIS_MNEMONIC_LEA, {reg(r), memory(r, static_cast<std::int64_t>(leaf) + 1)});
      if (leaf == 1)
        emit_(ZYDIS_MNEMONIC_ADC, {reg(ZYDIS_REGISTER_RAX), reg(r)});
      emit_(ZYDIS_MNEMONIC_RET, {});
    }
  }

  // The steps [first, end).
  void block(std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) {
      const std::size_t inner_end = std::min(end, i + 2 + steps_[i].c % kMostInner);
      if (steps_[i].kind < StepKind::BranchOver) {
        straight(steps_[i]);
      } else {
        leading(steps_[i], i + 1, inner_end);
        i = inner_end - 1;
      }
    }
  }

  void straight(const Step& s) {
    const ZydisRegister a = pick(kFree, s.a), b = pick(kFree, s.b);
    switch (s.kind) {
    case StepKind::RegisterRegister:
      return s.c % 11 == 10 ? emit_(ZYDIS_MNEMONIC_XCHG, {reg(a), reg(b)})
                            : emit_(pick(kBinary, s.c), {reg(a), reg(b)});
    case StepKind::RegisterImmediate:
      return emit_(pick(kBinary, s.c), {reg(a), imm(s.b % 2 == 0 ? s.immediate % 128 : s.immediate)});
    case StepKind::OneRegister:
      return s.c % kUnary.size() < kFirstByOne ? emit_(pick(kUnary, s.c), {reg(a)})
                                               : emit_(pick(kUnary, s.c), {reg(a), imm(1)});
    case StepKind::OnCondition:
      return s.b % 2 == 0 ? emit_(pick(kSet, s.c), {reg(pick(kSetInto, s.a))})
                          : emit_(pick(kMoveIf, s.c), {reg(a), reg(b)});
    case StepKind::StoreRedZone: return emit_(ZYDIS_MNEMONIC_MOV, {red_zone(s.c), reg(a)});
    case StepKind::ReadRedZone: return emit_(ZYDIS_MNEMONIC_ADD, {reg(a), red_zone(s.c)});
    case StepKind::ChangeRedZone:
      return s.b % 2 == 0 ? emit_(ZYDIS_MNEMONIC_ADD, {red_zone(s.c), reg(a)})
                          : emit_(ZYDIS_MNEMONIC_XADD, {red_zone(s.c), reg(a)}, ZYDIS_ATTRIB_HAS_LOCK);
    case StepKind::RipRelative:
      constants_used_.emplace_back(
          emit_.rip_relative(s.b % 2 == 0 ? ZYDIS_MNEMONIC_ADD : ZYDIS_MNEMONIC_CMP, a), s.c % kConstants);
      return;
    case StepKind::LoadAddress:
      return emit_(ZYDIS_MNEMONIC_LEA, {reg(a), memory(b, s.immediate, pick(kFree, s.c), 4)});
    case StepKind::VectorSum: return vector(s, a, b);
    case StepKind::Call: return call(s, a);
    case StepKind::Copy: return copy(s);
    case StepKind::LoopToItself: return loop_to_itself(s);
    default: return;
    }
  }

  void vector(const Step& s, ZydisRegister a, ZydisRegister b) {
    const ZydisRegister v = pick(kVectors, s.c), w = pick(kVectors, s.b);
    emit_(ZYDIS_MNEMONIC_MOVQ, {reg(v), reg(a)});
    emit_(s.immediate % 2 == 0 ? ZYDIS_MNEMONIC_PADDQ : ZYDIS_MNEMONIC_PXOR, {reg(v), reg(w)});
    emit_(ZYDIS_MNEMONIC_MOVQ, {reg(b), reg(v)});
  }

  // Its return address is left in the red zone: the true one must be.
  void call(const Step& s, ZydisRegister a) {
    if (s.b % 2 == 0) {
      calls_.emplace_back(emit_.branch(ZYDIS_MNEMONIC_CALL, true), s.c % kLeaves);
      return;
    }
    calls_.emplace_back(emit_.rip_relative(ZYDIS_MNEMONIC_LEA, a), s.c % kLeaves);
    emit_(ZYDIS_MNEMONIC_CALL, {reg(a)});
  }

  void copy(const Step& s) {
    if (rcx_counts_)
      return;
    emit_(ZYDIS_MNEMONIC_LEA, {reg(ZYDIS_REGISTER_RSI), memory(ZYDIS_REGISTER_RSP, -104)});
    emit_(ZYDIS_MNEMONIC_LEA, {reg(ZYDIS_REGISTER_RDI), memory(ZYDIS_REGISTER_RSP, -48 - s.a % 8)});
    emit_(ZYDIS_MNEMONIC_MOV, {reg(ZYDIS_REGISTER_ECX), imm(s.c % 33)});
    emit_(ZYDIS_MNEMONIC_MOVSB, {}, ZYDIS_ATTRIB_HAS_REP);
    emit_(ZYDIS_MNEMONIC_MOV, {reg(ZYDIS_REGISTER_ESI), imm(s.a)}); // no stack address stays
    emit_(ZYDIS_MNEMONIC_MOV, {reg(ZYDIS_REGISTER_EDI), imm(s.b)});
  }

  void loop_to_itself(const Step& s) {
    if (rcx_counts_)
      return;
    emit_(ZYDIS_MNEMONIC_MOV, {reg(ZYDIS_REGISTER_ECX), imm(1 + s.c % 5)});
    const std::size_t itself = emit_.here();
    emit_.bind(emit_.branch(ZYDIS_MNEMONIC_LOOP), itself);
  }

  // Around the inner steps [first, end).
  void leading(const Step& s, std::size_t first, std::size_t end) {
    switch (s.kind) {
    case StepKind::BranchOver: return over(emit_.branch(pick(kConditional, s.a), s.b % 4 == 0), first, end);
    case StepKind::JumpOver: return over(emit_.branch(ZYDIS_MNEMONIC_JMP, s.b % 4 == 0), first, end);
    case StepKind::BranchOnRcx: return over(emit_.branch(ZYDIS_MNEMONIC_JRCXZ), first, end);
    case StepKind::Repeat: return repeat(s, first, end);
    case StepKind::PushPop: return push_pop(s, first, end);
    default: return;
    }
  }

  void over(const Assembler::Branch& branch, std::size_t first, std::size_t end) {
    block(first, end);
    emit_.bind_here(branch);
  }

  void repeat(const Step& s, std::size_t first, std::size_t end) {
    bool& counts = rcx_counts_ ? r12_counts_ : rcx_counts_;
    if (counts)
      return block(first, end);
    const ZydisRegister counter = rcx_counts_ ? ZYDIS_REGISTER_R12 : ZYDIS_REGISTER_RCX;
    counts = true;
    emit_(ZYDIS_MNEMONIC_MOV, {reg(counter), imm(1 + s.a % 4)});
    const std::size_t again = emit_.here();
    block(first, end);
    if (counter == ZYDIS_REGISTER_R12) {
      emit_(ZYDIS_MNEMONIC_DEC, {reg(counter)});
      emit_.bind(emit_.branch(ZYDIS_MNEMONIC_JNZ, true), again);
    } else if (s.b % 2 == 0) {
      emit_(ZYDIS_MNEMONIC_DEC, {reg(counter)});
      emit_.bind(emit_.branch(ZYDIS_MNEMONIC_JNZ), again);
    } else {
      emit_.bind(emit_.branch(ZYDIS_MNEMONIC_LOOP), again);
    }
    counts = false;
  }

  void push_pop(const Step& s, std::size_t first, std::size_t end) {
    if (pushed_ == kMostPushed)
      return block(first, end);
    ++pushed_;
    emit_(ZYDIS_MNEMONIC_PUSH, {reg(pick(kFree, s.a))});
    block(first, end);
    emit_(ZYDIS_MNEMONIC_POP, {reg(pick(kFree, s.b))});
    --pushed_;
  }

  const std::vector<Step>& steps_;
  Assembler emit_;
  bool rcx_counts_ = false, r12_counts_ = false;
  std::size_t pushed_ = 0;
  std::vector<std::pair<Assembler::Branch, std::size_t>> calls_, constants_used_;
};

} // namespace

SequenceCode assemble(const Sequence& sequence) {
  return Writer(sequence.steps).run();
}

std::vector<std::size_t> sites_of(const Sequence& sequence, const SequenceCode& code) {
  std::vector<std::size_t> sites;
  for (const std::uint16_t n : sequence.sites)
    sites.push_back(n % code.instructions.size());
  if (sites.empty())
    for (std::size_t n = 0; n < code.instructions.size(); ++n)
      sites.push_back(n);
  std::ranges::sort(sites);
  const auto same = std::ranges::unique(sites);
  sites.erase(same.begin(), same.end());
  return sites;
}

} // namespace proberace
