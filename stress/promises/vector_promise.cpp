// promise/vector-state-intact (H34).
#include "stress/code/probed_code.h"

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

// The parts of the image, by their place in it (SDM vol. 1, 13.4). The x87 environment's last-instruction
// pointers are left out: AMD's XSAVE keeps them only with an exception pending.
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

const bool vector_promise_registered =
    register_experiment("promise/vector-state-intact", &vector_state_intact);

} // namespace

} // namespace proberace
