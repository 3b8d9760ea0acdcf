// The judge of single instructions is shown ends that are wrong in one thing.
#include "stress/transparency/isa/comparison.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace proberace {

namespace {

const CaseSpace& case_space() {
  static const CaseSpace space = std::move(CaseSpace::reserve(Layout::High).value());
  return space;
}

// A random instruction, and an end as a bare run may have left it: nothing is run.
struct Compared {
  PreparedCase prepared;
  CaseEnd native;

  std::vector<std::string> with(const CaseEnd& probed) const {
    return differences(prepared, case_space(), Promises::all(), native, probed);
  }
};

Compared any_case() {
  Compared c;
  for (;;) {
    const IsaCase drawn = isa_case(*rc::gen::arbitrary<std::uint32_t>(), 0).value();
    auto prepared = prepare(drawn, form_of(drawn, {}), case_space(), 0, true);
    if (!prepared)
      continue;
    c.prepared = std::move(*prepared);
    c.native.run.state = c.prepared.start;
    c.native.run.state.at(Register::Rip) = value(c.prepared.instruction.next());
    c.native.run.fault.signal = SIGSEGV;
    c.native.data = *rc::gen::container<std::vector<std::uint8_t>>(CaseSpace::kDataBytes,
                                                                   rc::gen::arbitrary<std::uint8_t>());
    c.native.stack.assign(CaseSpace::kStackUsed, 0x5a);
    return c;
  }
}

Register a_predictable_register(const Anatomy& anatomy) {
  return *rc::gen::suchThat(rc::gen::map(rc::gen::inRange<std::size_t>(0, kRegisters.size()),
                                         [](std::size_t i) { return kRegisters[i].value; }),
                            [&](Register r) {
                              return std::ranges::find(anatomy.unpredictable, r) ==
                                         anatomy.unpredictable.end() &&
                                     !(r == Register::Rflags && anatomy.unpredictable_flags);
                            });
}

std::size_t below(std::size_t n) {
  return *rc::gen::inRange<std::size_t>(0, n);
}

} // namespace

RC_GTEST_PROP(IsaComparison, FindsNothingBetweenEqualEnds, ()) {
  const auto c = any_case();
  RC_ASSERT(c.with(c.native).empty());
}

RC_GTEST_PROP(IsaComparison, FindsARegisterThatDiffersInOneBit, ()) {
  const auto c = any_case();
  CaseEnd probed = c.native;
  probed.run.state.at(a_predictable_register(c.prepared.anatomy)) ^= std::uint64_t{1} << below(64);
  RC_ASSERT(!c.with(probed).empty());
}

RC_GTEST_PROP(IsaComparison, FindsAByteOfTheVectorStateThatDiffers, ()) {
  const auto c = any_case();
  CaseEnd probed = c.native;
  std::vector<VectorField> fields;
  std::ranges::copy_if(vector_fields(), std::back_inserter(fields),
                       [](const VectorField& f) { return !f.last_instruction; });
  const VectorField& field = fields[below(fields.size())];
  probed.run.state.vector[field.offset + below(field.bytes)] ^= 1;
  RC_ASSERT(!c.with(probed).empty());
}

RC_GTEST_PROP(IsaComparison, FindsAByteOfMemoryThatDiffers, ()) {
  const auto c = any_case();
  CaseEnd probed = c.native;
  if (*rc::gen::arbitrary<bool>()) {
    probed.data[below(probed.data.size())] ^= 1;
  } else { // from the red zone upwards
    const Address rsp{c.prepared.start.at(Register::Rsp)};
    const std::size_t from = static_cast<std::size_t>(rsp - 128 - case_space().stack());
    RC_PRE(rsp - 128 >= case_space().stack() && from < probed.stack.size());
    probed.stack[from + below(probed.stack.size() - from)] ^= 1;
  }
  RC_ASSERT(!c.with(probed).empty());
}

RC_GTEST_PROP(IsaComparison, FindsAFaultThatDiffers, ()) {
  const auto c = any_case();
  CaseEnd probed = c.native;
  HardwareFault& fault = probed.run.fault;
  switch (below(3)) {
  case 0: fault.signal = SIGTRAP; break;
  case 1: fault.code += 1; break;
  default: fault.address = fault.address + 8;
  }
  RC_ASSERT(!c.with(probed).empty());
}

} // namespace proberace
