// SSE moves and bitwise operations. None of them touches a flag or MXCSR, and all leave what lies above the
// sixteen bytes alone (SDM vol. 1, 10.2.2 and 14.1.2).
#include "harness/emulate/access.h"
#include "harness/emulate/runners.h"

namespace proberace::run {

namespace {

// The bytes of the place, first of all in `out`; the rest of it zero.
bool take(TrapContext& context, const MicroPlan& plan, const Place& place, Vector& out) noexcept {
  out = {};
  switch (place.kind) {
  case Place::Kind::Xmm: {
    const Vector whole = context.vector(place.vector);
    std::memcpy(out.data(), reinterpret_cast<const std::uint8_t*>(whole.data()) + place.at, place.bytes);
    return true;
  }
  case Place::Kind::Memory:
    return load_vector(context, effective_address(context, plan.address), place.bytes, through(plan.address),
                       plan.aligned, out);
  default: out[0] = truncated(context.get(place.reg), place.bytes); return true;
  }
}

bool give(TrapContext& context, const MicroPlan& plan, const Place& place, const Vector& v) noexcept {
  switch (place.kind) {
  case Place::Kind::Xmm: {
    Vector whole = plan.zeroes_rest ? Vector{} : context.vector(place.vector);
    std::memcpy(reinterpret_cast<std::uint8_t*>(whole.data()) + place.at, v.data(), place.bytes);
    context.set_vector(place.vector, whole);
    return true;
  }
  case Place::Kind::Memory:
    return store_vector(context, effective_address(context, plan.address), place.bytes, through(plan.address),
                        plan.aligned, v);
  default: write_register(context, place, v[0]); return true;
  }
}

template <typename Combine>
void combine(TrapContext& context, const MicroPlan& plan, Combine combined) noexcept {
  Vector from;
  if (!take(context, plan, plan.from, from))
    return;
  const Vector to = context.vector(plan.to.vector);
  context.set_vector(plan.to.vector, {combined(to[0], from[0]), combined(to[1], from[1])});
  go_on(context, plan.next);
}

} // namespace

void move_vector(TrapContext& context, const MicroPlan& plan) noexcept {
  Vector v;
  if (take(context, plan, plan.from, v) && give(context, plan, plan.to, v))
    go_on(context, plan.next);
}

void and_vector(TrapContext& context, const MicroPlan& plan) noexcept {
  combine(context, plan, [](std::uint64_t to, std::uint64_t from) { return to & from; });
}

void and_not_vector(TrapContext& context, const MicroPlan& plan) noexcept {
  combine(context, plan, [](std::uint64_t to, std::uint64_t from) { return ~to & from; });
}

void or_vector(TrapContext& context, const MicroPlan& plan) noexcept {
  combine(context, plan, [](std::uint64_t to, std::uint64_t from) { return to | from; });
}

void xor_vector(TrapContext& context, const MicroPlan& plan) noexcept {
  combine(context, plan, [](std::uint64_t to, std::uint64_t from) { return to ^ from; });
}

} // namespace proberace::run
