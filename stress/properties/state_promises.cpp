// Promises about processor state and the program's own traps, one experiment each, named promise/<promise>.
#include "stress/properties/probed_code.h"

#include <algorithm>
#include <array>
#include <cpuid.h>
#include <cstring>
#include <fmt/format.h>

// rdi a body's entry, rsi an XSAVE image to start from, rdx where to save to, rcx the components. Everything
// between XRSTOR and XSAVE is the body, so that what differs was changed by the hit.
asm(R"(
        .text
        .p2align 4
        .type   proberace_across_body, @function
proberace_across_body:
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        movq    %rdi, %r13
        movq    %rdx, %rbx
        movq    %rcx, %r12
        movl    %ecx, %eax
        xorl    %edx, %edx
        xrstor64 (%rsi)
        movl    $41, %edi
        call    *%r13
        movl    %r12d, %eax
        xorl    %edx, %edx
        xsave64 (%rbx)
        fninit
        pushq   $0x1f80
        ldmxcsr (%rsp)
        popq    %rax
        vzeroupper
        popq    %r13
        popq    %r12
        popq    %rbx
        ret
        .size   proberace_across_body, .-proberace_across_body
)");
extern "C" void proberace_across_body(const void* entry, const void* from, void* to,
                                      std::uint64_t components);

namespace proberace {

namespace {

// ---- vector-state-intact (H34): every user component of XSAVE that holds vectors, x87 or MXCSR.

// x87, SSE, AVX, and AVX-512's three (SDM vol. 1, 13.1). PKRU is not ours to write.
constexpr std::uint64_t kComponents = 0b11100111;

struct alignas(64) XsaveImage {
  static constexpr std::size_t kHeader = 512;
  std::array<std::uint8_t, 4096> bytes{};
};

std::uint64_t enabled_components() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low & kComponents;
}

struct Extent {
  const char* name;
  std::size_t offset;
  std::size_t bytes;
};

// Where the image holds what (SDM vol. 1, 13.4). The x87 environment's last-instruction pointers are left
// out: AMD's XSAVE keeps them only with an exception pending.
std::vector<Extent> extents(std::uint64_t components) {
  std::vector<Extent> all{{"x87 control and tags", 0, 5}, {"MXCSR", 24, 4}, {"xmm", 160, 256}};
  for (std::size_t r = 0; r < 8; ++r)
    all.push_back({"an x87 register", 32 + 16 * r, 10}); // 80 bits each
  const char* const names[] = {"", "", "ymm", "", "", "opmask", "zmm0-15", "zmm16-31"};
  for (std::uint32_t c = 2; c < 8; ++c) {
    std::uint32_t a = 0, b = 0, cx = 0, d = 0;
    if ((components >> c & 1) != 0 && __get_cpuid_count(0xd, c, &a, &b, &cx, &d) != 0)
      all.push_back({names[c], b, a});
  }
  return all;
}

XsaveImage patterned(std::uint64_t components, std::uint8_t seed) {
  XsaveImage image;
  for (const Extent& e : extents(components))
    for (std::size_t i = 0; i < e.bytes; ++i)
      image.bytes[e.offset + i] = static_cast<std::uint8_t>(seed + 37 * i + e.offset);
  const std::uint16_t control = 0x0c7f;        // round towards zero, single precision, all masked
  const std::uint32_t mxcsr = 0x1f80 | 0x6000; // round towards zero
  std::memcpy(&image.bytes[0], &control, sizeof control);
  image.bytes[2] = image.bytes[3] = 0; // status
  image.bytes[4] = 0xff;               // every x87 register in use
  std::memcpy(&image.bytes[24], &mxcsr, sizeof mxcsr);
  std::memcpy(&image.bytes[XsaveImage::kHeader], &components, sizeof components);
  return image;
}

// signal-safe. What a hit handler may do: use the vector units.
void use_vector_units(Hit&, void*) {
  asm volatile(
      "vpxor %%xmm0, %%xmm0, %%xmm0\n\tvpxor %%xmm15, %%xmm15, %%xmm15\n\tvzeroall\n\tfninit\n\tfldpi"
      :
      :
      : "xmm0", "xmm15", "st", "memory");
  const std::uint32_t mxcsr = 0x1f80;
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

Verdict vector_state_intact(const Json& parameters, Arena&) {
  const std::uint64_t components = enabled_components();
  const auto try_it = [&](HitHandler handler) -> Verdict {
    const Placement placements[] = {{body_named("mov"), 0}, {body_named("nop5"), 0}};
    auto probed = ProbedText::open(parameters.at("strategy"), placements);
    if (!probed)
      return verdict_of(probed.error());
    if (handler != nullptr)
      if (const Status set = (*probed)->prober().set_handler(handler, nullptr); !set)
        return held("hits never reach a handler");
    if (const Status inserted = (*probed)->insert_all(); !inserted)
      return verdict_of(inserted.error());
    constexpr std::size_t kTimes = 20;
    for (std::size_t i = 0; i < 2 * kTimes; ++i) {
      const XsaveImage before = patterned(components, static_cast<std::uint8_t>(i));
      XsaveImage after;
      proberace_across_body(bytes_at((*probed)->text().bodies()[i % 2].entry), &before, &after, components);
      for (const Extent& e : extents(components))
        if (std::memcmp(&before.bytes[e.offset], &after.bytes[e.offset], e.bytes) != 0)
          return broken("state",
                        fmt::format("{} changed across a hit of {}{}", e.name,
                                    (*probed)->text().bodies()[i % 2].body->name(),
                                    handler != nullptr ? ", whose handler used the vector units" : ""));
    }
    const std::uint64_t hits = (*probed)->prober().hits((*probed)->site(0));
    return hits == kTimes ? held() : broken("wrong-count", fmt::format("{} of {} hits", hits, kTimes));
  };
  if (const Verdict plain = try_it(nullptr); !plain.is(Ending::Held))
    return plain;
  return try_it(&use_vector_units);
}

// ---- any-flags (H31, H75)

// rdi input, rsi the flags to set: returns them as they are behind the probed instructions.
PROBERACE_SNIPPET(Flags, R"(
        pushfq
        popq    %rdx
        pushq   %rsi
        popfq
        SITE
        movq    %rdi, %rax
        SITE
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        pushfq
        popq    %rcx
        pushq   %rdx
        popfq
        movq    %rcx, %rax
        ret
)");

// Steps itself through two probed instructions.
PROBERACE_SNIPPET(StepsItself, R"(
        pushfq
        orq     $0x100, (%rsp)
        popfq
        nop
        SITE
        movq    %rdi, %rax
        nop
        SITE
        leaq    1(%rax), %rax
        pushfq
        andq    $~0x100, (%rsp)
        popfq
        ret
)");

constexpr std::size_t kMaxTraps = 64;
volatile std::size_t traps = 0;
std::array<Address, kMaxTraps> trap_pcs;

void note_trap(int, siginfo_t*, void* context) {
  if (const std::size_t n = traps; n < kMaxTraps) {
    trap_pcs[n] = interrupted_pc(context);
    traps = n + 1;
  }
}

std::vector<Address> traps_seen() {
  std::vector<Address> seen(trap_pcs.begin(), trap_pcs.begin() + static_cast<std::ptrdiff_t>(traps));
  traps = 0;
  return seen;
}

std::string offsets(const std::vector<Address>& pcs, Address from) {
  std::string text;
  for (const Address pc : pcs)
    text += fmt::format("{}{:+#x}", text.empty() ? "" : " ", pc - from);
  return text;
}

Verdict any_flags(const Json& parameters, Arena&) {
  on_signal(SIGTRAP, &note_trap); // the program's own, before the prober comes
  auto code = ProbedCode::open(parameters.at("strategy"), {kFlags, kStepsItself});
  if (!code)
    return verdict_of(code.error());
  auto* const steps = (*code)->function<Increment>(1);
  steps(1);
  const std::vector<Address> unprobed = traps_seen();
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  struct Flag {
    const char* name;
    std::uint64_t bit;
  };
  constexpr std::uint64_t kAlways = 0x202; // IF, and the bit that is always 1
  // Hits must work with NT set; that it stays set is too much to ask: Linux 6.18 drops it at any exception, a
  // page fault too (seen here).
  constexpr std::uint64_t kDropped = 1U << 14;
  constexpr Flag kFlagBits[] = {{"CF", 1U << 0},  {"PF", 1U << 2},  {"AF", 1U << 4},  {"ZF", 1U << 6},
                                {"SF", 1U << 7},  {"DF", 1U << 10}, {"OF", 1U << 11}, {"NT", 1U << 14},
                                {"AC", 1U << 18}, {"ID", 1U << 21}};
  constexpr int kTimes = 10;
  auto* const with_flags = (*code)->function<std::uint64_t(std::uint64_t, std::uint64_t)>();
  for (const Flag& flag : kFlagBits)
    for (int i = 0; i < kTimes; ++i)
      if (const std::uint64_t after = with_flags(1, kAlways | flag.bit);
          (after ^ (kAlways | flag.bit)) & ~kDropped)
        return broken("flags", fmt::format("{} set: flags were {:#x} and are {:#x} behind two hits",
                                           flag.name, kAlways | flag.bit, after));
  constexpr std::uint64_t kHits = kTimes * std::size(kFlagBits);
  if ((*code)->hits(0) != kHits || (*code)->hits(1) != kHits)
    return broken("wrong-count",
                  fmt::format("{} and {} hits of {}", (*code)->hits(0), (*code)->hits(1), kHits));
  (void)traps_seen();
  if (steps(1) != 2)
    return broken("wrong-result", "stepping itself through probed instructions, the program went wrong");
  const std::vector<Address> probed = traps_seen();
  auto at = probed.begin(); // none swallowed: what was seen unprobed is seen, in order
  for (const Address pc : unprobed) {
    at = std::find(at, probed.end(), pc);
    if (at == probed.end())
      return broken("own-step",
                    fmt::format("the program's own debug trap at {:+#x} was swallowed: {} unprobed, {} "
                                "probed",
                                pc - (*code)->entry(1), offsets(unprobed, (*code)->entry(1)),
                                offsets(probed, (*code)->entry(1))));
  }
  return (*code)->hits(2) == 1 && (*code)->hits(3) == 1
             ? held()
             : broken("wrong-count", "a hit of a program that steps itself was not counted once");
}

// ---- own-traps-delivered (H31, H70)

PROBERACE_SNIPPET(OwnTraps, R"(
        SITE
        movq    %rdi, %rax
        int3
        SITE
        addq    $1, %rax
        .byte   0xcd, 0x03
        SITE
        addq    $1, %rax
        .byte   0xf1
        ret
)");

Verdict own_traps_delivered(const Json& parameters, Arena&) {
  on_signal(SIGTRAP, &note_trap); // the program's own, before the prober comes
  auto code = ProbedCode::open(parameters.at("strategy"), {kOwnTraps});
  if (!code)
    return verdict_of(code.error());
  auto* const run = (*code)->function<Increment>();
  run(1);
  const std::vector<Address> unprobed = traps_seen();
  if (const Status inserted = (*code)->insert_all(); !inserted)
    return verdict_of(inserted.error());
  constexpr std::uint64_t kTimes = 20;
  for (std::uint64_t i = 1; i <= kTimes; ++i) {
    if (run(1) != 3)
      return broken("wrong-result", "wrong result beside the program's own traps");
    if (const std::vector<Address> probed = traps_seen(); probed != unprobed)
      return broken("own-trap",
                    fmt::format("own traps at {} unprobed, at {} probed", offsets(unprobed, (*code)->entry()),
                                offsets(probed, (*code)->entry())));
    for (std::size_t site = 0; site < 3; ++site)
      if ((*code)->hits(site) != i)
        return broken("wrong-count", fmt::format("site {}: {} hits of {}", site, (*code)->hits(site), i));
  }
  return unprobed.size() == 3 ? held() : broken("setup", "three traps were expected unprobed");
}

const bool registered = register_experiment("promise/vector-state-intact", &vector_state_intact) &&
                        register_experiment("promise/any-flags", &any_flags) &&
                        register_experiment("promise/own-traps-delivered", &own_traps_delivered);

} // namespace

} // namespace proberace
