#include "stress/transparency/isa/forms.h"

#include "stress/transparency/isa/exclusions.h"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <map>
#include <set>

namespace proberace {

struct InstructionForm {
  ZydisEncoderRequest request;
  std::uint8_t immediate_bits; // of the first immediate operand
  bool relative;               // the immediate is a branch's displacement
  bool integer;
};

namespace {

// ---- walking the opcode space (SDM vol. 2A, 2.1 to 2.7)

using Bytes = std::vector<std::uint8_t>;

class Walk {
public:
  explicit Walk(std::vector<InstructionForm>& forms, std::map<std::string, std::string_view>& excluded)
      : forms_(forms), excluded_(excluded) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  void legacy() {
    const std::vector<Bytes> maps{{}, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}};
    for (const Bytes& prefix : std::vector<Bytes>{{}, {0x66}, {0xF2}, {0xF3}, {0xF0}, {0x67}, {0x66, 0xF2}})
      for (const Bytes& rex : std::vector<Bytes>{{}, {0x48}})
        for (const Bytes& map : maps)
          for (int opcode = 0; opcode < 256; ++opcode) {
            Bytes start = prefix;
            start.insert(start.end(), rex.begin(), rex.end());
            start.insert(start.end(), map.begin(), map.end());
            start.push_back(static_cast<std::uint8_t>(opcode));
            // True if the r/m field continues the opcode: x87, 0F 01, 0F AE, 0F 1E.
            const bool extends =
                map.empty() ? (opcode & 0xF8) == 0xD8 : opcode == 0x01 || opcode == 0xAE || opcode == 0x1E;
            operands(start, true, extends);
          }
  }

  void vex() {
    for (int map = 1; map <= 3; ++map)
      for (int rest = 0; rest < 16; ++rest) // W, L, pp; no vvvv
        for (int opcode = 0; opcode < 256; ++opcode)
          operands(bytes({0xC4, 0xE0 | map, (rest & 8) << 4 | 0x78 | (rest & 7), opcode}), true, false);
  }

  void evex() {
    for (const int map : {1, 2, 3, 5, 6})
      for (int w_and_pp = 0; w_and_pp < 8; ++w_and_pp)
        for (int last = 0; last < 8; ++last)        // LL, b
          for (const int mask : {0x08, 0x09, 0x89}) // none, k1, k1 and zeroing
            for (int opcode = 0; opcode < 256; ++opcode) {
              const bool group = (map == 1 && opcode >= 0x71 && opcode <= 0x73) ||
                                 (map == 2 && (opcode == 0xC6 || opcode == 0xC7));
              operands(bytes({0x62, 0xF0 | map, (w_and_pp & 4) << 5 | 0x7C | (w_and_pp & 3), last << 4 | mask,
                              opcode}),
                       group, false);
            }
  }

private:
  static Bytes bytes(std::initializer_list<int> values) { return {values.begin(), values.end()}; }

  // ModRM bytes of every kind: a register, memory, memory with a vector index.
  void operands(Bytes start, bool every_reg, bool every_rm) {
    for (int reg = every_reg ? 0 : 5; reg < (every_reg ? 8 : 6); ++reg) {
      try_bytes(start, reg << 3 | 1, -1);
      try_bytes(start, reg << 3 | 4, 0x11); // (%rcx,%rdx) or (%rcx,%xmm2)
      for (int rm = every_rm ? 0 : 1; rm < (every_rm ? 8 : 2); ++rm)
        try_bytes(start, 0xC0 | reg << 3 | rm, -1);
    }
  }

  void try_bytes(Bytes code, int modrm, int sib) {
    code.push_back(static_cast<std::uint8_t>(modrm));
    if (sib >= 0)
      code.push_back(static_cast<std::uint8_t>(sib));
    code.resize(code.size() + 8, 0x11);
    ZydisDecodedInstruction i;
    ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, code.data(), code.size(), &i, o)))
      return;
    if (const std::string_view why = exclusion(i, o); !why.empty()) {
      excluded_.emplace(ZydisMnemonicGetString(i.mnemonic), why);
      return;
    }
    const std::uint64_t signature = signature_of(i, o);
    if (!seen_.insert(signature).second)
      return;
    InstructionForm form{};
    if (!ZYAN_SUCCESS(
            ZydisEncoderDecodedInstructionToEncoderRequest(&i, o, i.operand_count_visible, &form.request)))
      return;
    form.immediate_bits = i.raw.imm[0].size;
    form.relative = i.raw.imm[0].is_relative != 0;
    form.integer = is_integer(i);
    if (encode(form, OperandChoice{}))
      forms_.push_back(form);
  }

  static bool is_integer(const ZydisDecodedInstruction& i) {
    switch (i.meta.isa_ext) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
    case ZYDIS_ISA_EXT_ADOX_ADCX:
    case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_MOVBE:
    case ZYDIS_ISA_EXT_PAUSE: return (i.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) == 0;
    default: return false;
    }
  }

  static std::uint64_t signature_of(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* o) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto mix = [&hash](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3 + (hash >> 29); };
    mix(i.mnemonic);
    mix(i.encoding);
    mix(i.attributes & (ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                        ZYDIS_ATTRIB_HAS_REPNE | ZYDIS_ATTRIB_HAS_XACQUIRE | ZYDIS_ATTRIB_HAS_XRELEASE));
    mix(i.address_width);
    mix(i.operand_width);
    mix(i.avx.vector_length);
    mix(i.avx.mask.mode);
    mix(i.avx.mask.reg != ZYDIS_REGISTER_K0);
    mix(i.avx.broadcast.mode);
    mix(i.avx.rounding.mode);
    mix(i.avx.has_sae);
    for (std::size_t n = 0; n < i.operand_count_visible; ++n) {
      mix(o[n].type);
      mix(o[n].encoding);
      mix(o[n].size);
      mix(o[n].element_type);
      if (o[n].type == ZYDIS_OPERAND_TYPE_REGISTER)
        mix(ZydisRegisterGetClass(o[n].reg.value));
      if (o[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
        mix(ZydisRegisterGetClass(o[n].mem.index) == ZYDIS_REGCLASS_GPR64
                ? 0
                : ZydisRegisterGetClass(o[n].mem.index));
    }
    return hash;
  }

  ZydisDecoder decoder_;
  std::set<std::uint64_t> seen_;
  std::vector<InstructionForm>& forms_;
  std::map<std::string, std::string_view>& excluded_;
};

// ---- filling in operands

bool is_evex(const ZydisEncoderRequest& r) {
  return r.allowed_encodings == ZYDIS_ENCODABLE_ENCODING_EVEX;
}

// Another register of the same kind. Zydis numbers the registers of a class in order; of the byte registers
// it has ah to bh behind al to bl.
ZydisRegister other_register(ZydisRegister r, std::uint32_t choice, bool evex) {
  const ZydisRegisterClass kind = ZydisRegisterGetClass(r);
  const auto count = [&]() -> std::uint32_t {
    switch (kind) {
    case ZYDIS_REGCLASS_GPR8: return 20;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: return 16;
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_MASK: return 8;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM: return evex ? 32 : 16;
    default: return 0; // stays
    }
  }();
  if (count == 0 || choice == 0)
    return r;
  const std::uint32_t id = choice % count;
  return ZydisRegisterEncode(kind, static_cast<ZyanU8>(kind == ZYDIS_REGCLASS_MASK && id == 0 ? 1 : id));
}

constexpr std::uint32_t kShapes = 8;

// The low bits choose the shape, the others the registers.
void shape_memory(ZydisEncoderOperand& o, const OperandChoice& choice, std::uint32_t n, bool evex) {
  if (n == 0)
    return;
  auto& m = o.mem;
  const ZydisRegisterClass width = ZydisRegisterGetClass(m.base); // 64 or 32 bits
  const ZydisRegisterClass index_kind = ZydisRegisterGetClass(m.index);
  const bool vector_index = m.index != ZYDIS_REGISTER_NONE && index_kind != width;
  const std::uint32_t base = n / kShapes % 16;
  const std::uint32_t index = n / (kShapes * 16) % 16;
  const auto scale = static_cast<ZyanU8>(1U << (n / (kShapes * 256) % 4));
  if (vector_index) {
    m.index = other_register(m.index, n / kShapes, evex);
    m.scale = scale;
    m.displacement = choice.displacement;
    return;
  }
  if (m.index == ZYDIS_REGISTER_NONE && m.base == ZYDIS_REGISTER_NONE)
    return; // an absolute address by its opcode
  const std::uint32_t shape = n % kShapes;
  const bool with_base = shape != 2 && shape != 3 && shape != 4;
  const bool with_index = shape >= 4 && index != 4;
  m.base = with_base ? ZydisRegisterEncode(width, static_cast<ZyanU8>(base)) : ZYDIS_REGISTER_NONE;
  m.index = with_index ? ZydisRegisterEncode(width, static_cast<ZyanU8>(index)) : ZYDIS_REGISTER_NONE;
  m.scale = with_index ? scale : ZyanU8{0};
  m.displacement = shape == 0 ? 0 : choice.displacement;
  if (shape == 2) { // RIP-relative
    m.base = width == ZYDIS_REGCLASS_GPR32 ? ZYDIS_REGISTER_EIP : ZYDIS_REGISTER_RIP;
    m.displacement = choice.displacement | 0x100; // of four bytes
  }
  // From rsp: near, in what is a stack.
  if (with_base && base == 4)
    m.displacement = static_cast<std::int8_t>(choice.displacement);
}

std::optional<std::vector<std::uint8_t>> encode_request(const ZydisEncoderRequest& request) {
  std::vector<std::uint8_t> bytes(ZYDIS_MAX_INSTRUCTION_LENGTH);
  ZyanUSize length = bytes.size();
  if (!ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&request, bytes.data(), &length)))
    return std::nullopt;
  bytes.resize(length);
  return bytes;
}

std::uint64_t low_bits(std::uint64_t word, std::uint8_t bits) {
  return bits == 0 || bits >= 64 ? word : word & ((std::uint64_t{1} << bits) - 1);
}

std::uint64_t sign_extended(std::uint64_t word, std::uint8_t bits) {
  if (bits == 0 || bits >= 64)
    return word;
  const std::uint64_t sign = std::uint64_t{1} << (bits - 1);
  return (low_bits(word, bits) ^ sign) - sign;
}

} // namespace

std::vector<const InstructionForm*> FormCatalogue::forms_of(std::string_view mnemonic) const {
  std::vector<const InstructionForm*> forms;
  for (const auto& list : {integer(), other()})
    for (const Mnemonic& m : list)
      if (m.name == mnemonic)
        forms.insert(forms.end(), m.forms.begin(), m.forms.end());
  return forms;
}

std::optional<std::vector<std::uint8_t>> encode(const InstructionForm& form, const OperandChoice& choice) {
  ZydisEncoderRequest request = form.request;
  const bool evex = is_evex(request);
  std::uint64_t immediate = choice.immediate;
  for (std::size_t n = 0; n < request.operand_count; ++n) {
    ZydisEncoderOperand& o = request.operands[n];
    const ZydisEncoderOperand before = o;
    switch (o.type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
      o.reg.value = other_register(o.reg.value, choice.operands[n], evex);
      break;
    case ZYDIS_OPERAND_TYPE_MEMORY: shape_memory(o, choice, choice.operands[n], evex); break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
      if (choice.immediate != 0 || form.relative) {
        o.imm.u = sign_extended(immediate, form.immediate_bits);
        if (!form.relative && !encode_request(request)) // unsigned
          o.imm.u = low_bits(immediate, form.immediate_bits);
      }
      immediate >>= 16; // of two immediates, the other
      break;
    default: break;
    }
    // Some operands cannot be chosen (shl by cl, in from dx), or not with the ones before.
    if (!encode_request(request))
      o = before;
  }
  if (choice.segment != 0) {
    ZydisEncoderRequest with = request;
    with.prefixes |= choice.segment % 2 == 1 ? ZYDIS_ATTRIB_HAS_SEGMENT_FS : ZYDIS_ATTRIB_HAS_SEGMENT_GS;
    if (encode_request(with))
      request = with;
  }
  auto bytes = encode_request(request);
  if (!bytes)
    return std::nullopt;
  if (choice.redundant != 0 && bytes->size() < kMaxInstructionBytes) {
    constexpr std::uint8_t kPrefixes[] = {0x2E, 0x3E, 0x26, 0x36, 0x66, 0x40, 0x48, 0xF2, 0xF3, 0x67};
    auto with = *bytes;
    with.insert(with.begin(), kPrefixes[choice.redundant % std::size(kPrefixes)]);
    if (const auto decoded = decode(Address{0x1000}, with); decoded && decoded->length == with.size())
      bytes = with;
  }
  return bytes;
}

FormCatalogue::FormCatalogue() {
  std::map<std::string, std::string_view> excluded;
  Walk walk(all_, excluded);
  walk.legacy();
  walk.vex();
  walk.evex();
  std::map<std::string, Mnemonic> integer, other;
  for (const InstructionForm& form : all_) {
    const std::string name = ZydisMnemonicGetString(form.request.mnemonic);
    Mnemonic& m = (form.integer ? integer : other)[name];
    m.name = name;
    m.forms.push_back(&form);
  }
  forms_ = all_.size();
  for (auto& [name, m] : integer)
    integer_.push_back(std::move(m));
  for (auto& [name, m] : other)
    other_.push_back(std::move(m));
  for (const auto& [name, why] : excluded)
    excluded_.push_back({name, why});
}

FormCatalogue::~FormCatalogue() = default;

const FormCatalogue& FormCatalogue::instance() {
  static const FormCatalogue catalogue;
  return catalogue;
}

} // namespace proberace
