#include "stress/transparency/isa/machine_state.h"

#include "harness/code/greg.h"

#include <algorithm>
#include <cpuid.h>
#include <cstring>
#include <fmt/format.h>

namespace proberace {

namespace {

// x87, SSE, AVX, and AVX-512's three (SDM vol. 1, 13.1). Others (PKRU, AMX) stay as they are.
constexpr std::uint64_t kComponents = 0b11100111;
constexpr std::size_t kLegacyBytes = 464;      // what follows is the kernel's (struct _fpx_sw_bytes)
constexpr std::size_t kSoftwareReserved = 464; // magic1, extended_size, xfeatures, xstate_size
constexpr std::uint32_t kMagic = 0x46505853;   // FP_XSTATE_MAGIC1, arch/x86/include/uapi/asm/sigcontext.h
constexpr std::size_t kHeader = 512;           // of the XSAVE image: XSTATE_BV first
constexpr std::size_t kExtended = 576;

struct Component {
  std::size_t offset = 0, bytes = 0;
};

// By number (SDM vol. 1, 13.4.3); asked of the processor once.
const std::array<Component, 8>& components() noexcept {
  static const std::array<Component, 8> kAll = [] {
    std::array<Component, 8> all{};
    all[0] = {0, 160};
    all[1] = {160, 256};
    std::uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    for (std::uint32_t c = 2; c < 8; ++c) {
      std::uint32_t a = 0, b = 0, cx = 0, d = 0;
      if ((low & kComponents) >> c & 1)
        if (__get_cpuid_count(0xd, c, &a, &b, &cx, &d) != 0 && b + a <= MachineState::kVectorBytes)
          all[c] = {b, a};
    }
    return all;
  }();
  return kAll;
}

struct FrameHeader {
  std::uint32_t magic, extended_size;
  std::uint64_t features;
  std::uint32_t bytes;
};

FrameHeader header_of(const std::uint8_t* image) noexcept {
  FrameHeader h;
  std::memcpy(&h, image + kSoftwareReserved, sizeof h);
  return h;
}

} // namespace

const std::vector<VectorField>& vector_fields() {
  static const std::vector<VectorField> kFields = [] {
    std::vector<VectorField> all{{"x87 control", 0, 2},
                                 {"x87 status", 2, 2},
                                 {"x87 tags", 4, 1},
                                 {"x87 opcode", 6, 2, true},
                                 {"x87 pointer", 8, 8, true},
                                 {"x87 data pointer", 16, 8, true},
                                 {"mxcsr", 24, 4}};
    for (std::size_t r = 0; r < 8; ++r)
      all.push_back({fmt::format("st{}", r), 32 + 16 * r, 10});
    for (std::size_t r = 0; r < 32; ++r)
      for (const VectorField& part : parts_of_vector_register(r))
        all.push_back(part);
    if (const Component& masks = components()[5]; masks.bytes != 0)
      for (std::size_t k = 0; k < 8; ++k)
        all.push_back({fmt::format("k{}", k), masks.offset + 8 * k, 8});
    return all;
  }();
  return kFields;
}

std::vector<VectorField> parts_of_vector_register(std::size_t n) {
  std::vector<VectorField> parts;
  const auto add = [&](std::string_view name, const Component& c, std::size_t i, std::size_t bytes) {
    if (c.bytes != 0)
      parts.push_back({fmt::format("{}{}", name, n), c.offset + i * bytes, bytes});
  };
  const auto& all = components();
  if (n < 16) {
    add("xmm", all[1], n, 16);
    add("ymm high half of ", all[2], n, 16);
    add("zmm high half of ", all[6], n, 32);
  } else {
    add("zmm", all[7], n - 16, 64);
  }
  return parts;
}

MachineState state_in(const ucontext_t& frame) noexcept {
  MachineState s;
  for (const auto& [r, _] : kRegisters)
    s.at(r) = static_cast<std::uint64_t>(frame.uc_mcontext.gregs[greg(r)]);
  const auto* const image = reinterpret_cast<const std::uint8_t*>(frame.uc_mcontext.fpregs);
  std::memcpy(s.vector.data(), image, kLegacyBytes);
  const FrameHeader header = header_of(image);
  if (header.magic != kMagic)
    return s;
  std::uint64_t present = 0;
  std::memcpy(&present, image + kHeader, sizeof present);
  for (std::size_t c = 0; c < 8; ++c) {
    const Component& part = components()[c];
    if (part.bytes == 0)
      continue;
    if ((present >> c & 1) == 0) { // in its initial state (SDM vol. 1, 13.6)
      std::memset(s.vector.data() + (c == 0 ? 0 : part.offset), 0, c == 0 ? 24 : part.bytes);
      if (c == 0) {
        std::memset(s.vector.data() + 32, 0, 128);
        const std::uint16_t control = 0x37F;
        std::memcpy(s.vector.data(), &control, sizeof control);
      }
    } else if (c >= 2) {
      std::memcpy(s.vector.data() + part.offset, image + part.offset, part.bytes);
    }
  }
  return s;
}

void put_state(ucontext_t& frame, const MachineState& state) noexcept {
  for (const auto& [r, _] : kRegisters)
    frame.uc_mcontext.gregs[greg(r)] = static_cast<greg_t>(state.at(r));
  auto* const image = reinterpret_cast<std::uint8_t*>(frame.uc_mcontext.fpregs);
  std::memcpy(image, state.vector.data(), kLegacyBytes);
  const FrameHeader header = header_of(image);
  if (header.magic != kMagic)
    return;
  std::uint64_t present = 0;
  std::memcpy(&present, image + kHeader, sizeof present);
  present |= header.features & kComponents;
  std::memcpy(image + kHeader, &present, sizeof present);
  for (std::size_t c = 2; c < 8; ++c) {
    const Component& part = components()[c];
    if (part.bytes != 0 && part.offset >= kExtended && part.offset + part.bytes <= header.bytes)
      std::memcpy(image + part.offset, state.vector.data() + part.offset, part.bytes);
  }
}

} // namespace proberace
