#include "stress/transparency/isa/exclusions.h"

#include <cpuid.h>
#include <cstdint>

namespace proberace {

namespace {

// ---- what this processor has, as CPUID says (SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E). Only what
// makes up many forms: the rest is tried, and raises #UD with and without a probe.

struct Feature {
  std::string_view set; // the beginning of Zydis' name of the instruction set
  std::uint32_t leaf, subleaf;
  int reg; // 0 eax, 1 ebx, 2 ecx, 3 edx
  int bit;
};

constexpr Feature kFeatures[] = {
    {"AVX512ER", 7, 0, 1, 27},
    {"AVX512PF", 7, 0, 1, 26},
    {"AVX512_4FMAPS", 7, 0, 3, 3},
    {"AVX512_4VNNIW", 7, 0, 3, 2},
    {"AVX512_FP16", 7, 0, 3, 23},
    {"AVX512_BF16", 7, 1, 0, 5},
    {"AVX512_BITALG", 7, 0, 2, 12},
    {"AVX512_IFMA", 7, 0, 1, 21},
    {"AVX512_VBMI2", 7, 0, 2, 6},
    {"AVX512_VBMI", 7, 0, 2, 1},
    {"AVX512_VNNI", 7, 0, 2, 11},
    {"AVX512_VP2INTERSECT", 7, 0, 3, 8},
    {"AVX512_VPOPCNTDQ", 7, 0, 2, 14},
    {"AVX512BW", 7, 0, 1, 30},
    {"AVX512CD", 7, 0, 1, 28},
    {"AVX512DQ", 7, 0, 1, 17},
    {"AVX512", 7, 0, 1, 16},
    {"AVX2", 7, 0, 1, 5},
    {"AVX_VNNI", 7, 1, 0, 4},
    {"AVX", 1, 0, 2, 28},
    {"AMX", 7, 0, 3, 24},
    {"FMA4", 0x80000001, 0, 2, 16},
    {"FMA", 1, 0, 2, 12},
    {"SHA", 7, 0, 1, 29},
    {"GFNI", 7, 0, 2, 8},
    {"MPX", 7, 0, 1, 14},
    {"KEYLOCKER", 7, 0, 2, 23},
};

bool processor_has(const Feature& f) {
  std::uint32_t r[4] = {};
  return __get_cpuid_count(f.leaf, f.subleaf, &r[0], &r[1], &r[2], &r[3]) != 0 &&
         (r[f.reg] >> f.bit & 1) != 0;
}

bool missing(ZydisISASet set) {
  const std::string_view name = ZydisISASetGetString(set);
  for (const Feature& f : kFeatures)
    if (name.starts_with(f.set))
      return !processor_has(f);
  return name.starts_with("KNC") || name.starts_with("PADLOCK"); // no x86-64 processor with both
}

// ---- what would take the harness itself away

struct Row {
  ZydisMnemonic mnemonic;
  std::string_view why;
};

constexpr std::string_view kWaits = "waits for an event that need not come";
constexpr std::string_view kHypervisor = "asks the hypervisor, which may rewrite the code or end the guest";
constexpr std::string_view kSegments = "changes a segment, which no signal frame restores";
constexpr std::string_view kReturnsElsewhere = "returns from the kernel to the vDSO, wherever it was";

constexpr std::string_view kHostTables = "answers differently on each of the host's processors";

constexpr Row kRows[] = {
    {ZYDIS_MNEMONIC_MWAIT, kWaits},
    {ZYDIS_MNEMONIC_MWAITX, kWaits},
    {ZYDIS_MNEMONIC_UMWAIT, kWaits},
    {ZYDIS_MNEMONIC_TPAUSE, kWaits},
    {ZYDIS_MNEMONIC_VMCALL, kHypervisor},
    {ZYDIS_MNEMONIC_VMMCALL, kHypervisor},
    {ZYDIS_MNEMONIC_VMFUNC, kHypervisor},
    {ZYDIS_MNEMONIC_TDCALL, kHypervisor},
    {ZYDIS_MNEMONIC_SEAMCALL, kHypervisor},
    {ZYDIS_MNEMONIC_WRFSBASE, kSegments},
    {ZYDIS_MNEMONIC_WRGSBASE, kSegments},
    {ZYDIS_MNEMONIC_LFS, kSegments},
    {ZYDIS_MNEMONIC_LGS, kSegments},
    {ZYDIS_MNEMONIC_LSS, kSegments},
    {ZYDIS_MNEMONIC_SYSENTER, kReturnsElsewhere},
    {ZYDIS_MNEMONIC_SGDT, kHostTables},
    {ZYDIS_MNEMONIC_SIDT, kHostTables},
    {ZYDIS_MNEMONIC_WRPKRU, "takes the harness' own memory away"},
    {ZYDIS_MNEMONIC_XBEGIN, "aborts when it likes"},
};

bool loads_segment(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* o) {
  return (i.mnemonic == ZYDIS_MNEMONIC_MOV || i.mnemonic == ZYDIS_MNEMONIC_POP) && i.operand_count > 0 &&
         o[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         ZydisRegisterGetClass(o[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

} // namespace

std::string_view exclusion(const ZydisDecodedInstruction& i, const ZydisDecodedOperand* o) {
  for (const Row& row : kRows)
    if (row.mnemonic == i.mnemonic)
      return row.why;
  if (loads_segment(i, o))
    return kSegments;
  if (missing(i.meta.isa_set))
    return "this processor does not have it";
  return {};
}

} // namespace proberace
