// Random short bodies with several neighbouring sites at once (`proberace sequences` runs more).
#include "harness/code/decode.h"
#include "harness/probe/trap_context.h"
#include "stress/testing/expect_cell.h"
#include "stress/transparency/sequence/sequence_check.h"
#include "stress/transparency/sequence/sequence_code.h"
#include "stress/transparency/sequence/sequence_run.h"

#include <fmt/format.h>
#include <rapidcheck/gtest.h>

namespace proberace {

namespace {

class Sequences : public testing::TestWithParam<std::string> {};

bool may_be_refused(const std::string& strategy, std::string_view mnemonic) {
  const Promises promises = (*make_prober(strategy))->promises();
  const bool flow = mnemonic == "call" || mnemonic == "jmp" || mnemonic == "jrcxz" || mnemonic == "loop";
  const bool stack = mnemonic == "call" || mnemonic == "push" || mnemonic == "pop" || mnemonic == "xadd";
  if ((flow && !promises.has(Promise::AllControlFlow)) || (stack && !promises.has(Promise::StackOperands)))
    return true;
  const Facts facts = facts_of(strategy);
  if (facts.paths.only({Path::Emulated}))
    return mnemonic == "movsb" || mnemonic == "paddq" || mnemonic == "xadd";
  return facts.selective; // a neighbour lies in a jump's way
}

} // namespace

// Fails with a branch into the middle of a patch torn, a turn of a loop to itself not counted, a step's state
// left for the neighbour, or the red zone or flags changed between two sites.
TEST_P(Sequences, H04_H43_H55_H56_NeighbouringSitesCountAndChangeNothing) {
  SequenceOptions options{GetParam()};
  options.cases = 30;
  const SequenceReport report = check_sequences(options);
  if (report.ended.is(Ending::Skipped))
    GTEST_SKIP() << report.ended.summary;
  EXPECT_TRUE(report.ended.is(Ending::Held)) << report.ended.summary;
  EXPECT_FALSE(report.failure) << text_of(report);
  EXPECT_EQ(report.cases, options.cases);
  // Not of what every sequence ends with alone.
  EXPECT_GT(report.armed_steps, 2 * report.cases);
  for (const char* const mnemonic :
       {"call", "jmp", "jrcxz", "loop", "movsb", "push", "pop", "paddq", "xadd", "lea"})
    if (!may_be_refused(GetParam(), mnemonic)) {
      EXPECT_TRUE(report.mnemonics.contains(mnemonic)) << mnemonic << " was never probed";
    }
}

// Errors of the peer are findings, not failures (results/findings/uprobe-instructions.md).
INSTANTIATE_TEST_SUITE_P(Strategies, Sequences, testing::ValuesIn(ours_promising({Promise::ExactCounts})),
                         test_name);

// The other tests rest on this: every kind of step writes instructions, and only whole ones.
TEST(SequenceCode, EachKindOfStepIsWrittenAndDecodesAsItWasWritten) {
  const std::size_t fixed = assemble({}).instructions.size();
  for (std::size_t kind = 0; kind < kStepKinds; ++kind)
    for (std::uint8_t n = 0; n < 64; ++n) {
      Sequence s;
      s.steps = {Step{static_cast<StepKind>(kind), n, static_cast<std::uint8_t>(n / 2),
                      static_cast<std::uint8_t>(n / 3), -1000 * n},
                 Step{StepKind::RegisterRegister, n, n, n, 0}};
      const SequenceCode code = assemble(s);
      EXPECT_GT(code.instructions.size(), fixed + 1) << kind;
      for (std::size_t i = 0; i + 1 < code.instructions.size(); ++i) {
        const auto offset = static_cast<std::size_t>(code.instructions[i].offset);
        const auto decoded = decode(Address{0x1000}, std::span(code.bytes).subspan(offset));
        ASSERT_TRUE(decoded) << kind;
        EXPECT_EQ(offset + decoded->length, static_cast<std::size_t>(code.instructions[i + 1].offset))
            << kind;
      }
    }
}

// Any one bit that differs is seen, and the place it is in is named.
RC_GTEST_PROP(SequenceStates, ASingleWrongBitIsTold, ()) {
  const SequenceState bare = random_state(*rc::gen::arbitrary<std::uint64_t>());
  RC_ASSERT(differences(bare, bare).empty());
  SequenceState wrong = bare;
  const auto bit = std::uint64_t{1} << *rc::gen::inRange(0, 64);
  const auto place = *rc::gen::inRange<std::size_t>(0, bare.registers.size() + 1 + 2 * bare.vectors.size());
  std::string named;
  if (place < bare.registers.size()) {
    wrong.registers[place] ^= bit;
    named = name(static_cast<Register>(place));
  } else if (place == bare.registers.size()) {
    wrong.flags ^= bit;
    named = "flags";
  } else {
    const std::size_t half = place - bare.registers.size() - 1;
    wrong.vectors[half / 2][half % 2] ^= bit;
    named = fmt::format("xmm{}", half / 2);
  }
  RC_ASSERT(wrong != bare);
  RC_ASSERT(differences(bare, wrong).starts_with(named + " "));
}

} // namespace proberace
