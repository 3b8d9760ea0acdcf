// Hazards that are promises: every covering strategy that promises to survive one is tried.
#include "stress/promises/promise_matrix.h"

#include "stress/testing/expect_cell.h"

namespace proberace {

namespace {

void expect_promise_kept(const std::string& strategy, Promise promise) {
  const PromiseRow row = try_promise(strategy, promise);
  if (row.verdict == "skipped")
    GTEST_SKIP() << row.reason;
  EXPECT_EQ(row.verdict, "kept") << row.observed << ": " << row.reason << "\ncell: " << row.cell;
}

// A suite of the strategies that make the promise.
#define PROBERACE_PROMISED(promise)                                                                          \
  class promise : public testing::TestWithParam<std::string> {};                                             \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(promise);                                                    \
  INSTANTIATE_TEST_SUITE_P(Strategies, promise, testing::ValuesIn(strategies_promising({Promise::promise})), \
                           test_name)

} // namespace

PROBERACE_PROMISED(UnmappingSafe);
TEST_P(UnmappingSafe, H15_TextIsUnmappedReplacedMovedOrProtectedOtherwise) {
  expect_promise_kept(GetParam(), Promise::UnmappingSafe);
}

CellSpec text_changed(const std::string& strategy, const char* change) {
  CellSpec spec;
  spec.experiment = "text-changed";
  spec.parameters["strategy"] = strategy;
  spec.parameters["change"] = change;
  return spec;
}

// Strategies that promise nothing here survive this, too: they lose hits only if text is moved.
class AnyOfThem : public testing::TestWithParam<std::string> {};
TEST_P(AnyOfThem, H15_LeavesOtherCodeInItsPlaceAlone) {
  const CellSpec spec = text_changed(GetParam(), "other-code");
  const Verdict v = run_cell(spec);
  PROBERACE_EXPECT_HELD(v, spec);
  if (!facts_of(GetParam()).keeps_mappings) {
    EXPECT_EQ(v.summary, "probed anew");
  }
}
TEST_P(AnyOfThem, H15_CanCloseOverWhatIsGoneAndRemoveFromWhatIsHidden) {
  for (const char* change : {"other-code-then-close", "unmapped", "unreadable"}) {
    const CellSpec spec = text_changed(GetParam(), change);
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
  }
}
INSTANTIATE_TEST_SUITE_P(Strategies, AnyOfThem, testing::ValuesIn(covering_strategies()), test_name);

// If the other code has an int3 of its own, an armer that stores a byte takes it for its own, and changes a
// byte. A swap must not: it would change a page.
TEST(ASwap, H15_IsNotTakenBackOverAFileThatTookThePagesPlace) {
  for (const char* strategy : {"pte-swap/mremap+xol-vma", "pte-swap/memfd+xol-vma"}) {
    const CellSpec spec = text_changed(strategy, "int3");
    const Verdict v = run_cell(spec);
    PROBERACE_EXPECT_HELD(v, spec);
  }
}

PROBERACE_PROMISED(SyscallsUndisturbed);
TEST_P(SyscallsUndisturbed, H19_NoBlockingCallReturnsEarly) {
  expect_promise_kept(GetParam(), Promise::SyscallsUndisturbed);
}

PROBERACE_PROMISED(ThreadsMayEnd);
TEST_P(ThreadsMayEnd, H23_ThreadsEndInsideTheDisplacedInstruction) {
  expect_promise_kept(GetParam(), Promise::ThreadsMayEnd);
}

PROBERACE_PROMISED(SignalsSeeOriginalPc);
TEST_P(SignalsSeeOriginalPc, H24_NoSignalEverSeesASlot) {
  expect_promise_kept(GetParam(), Promise::SignalsSeeOriginalPc);
}

PROBERACE_PROMISED(Reentrant);
TEST_P(Reentrant, H25_ASignalHandlerThatInterruptsADisplacedInstructionHitsAProbe) {
  expect_promise_kept(GetParam(), Promise::Reentrant);
}

// H76: the storm's signals land on the handler's first instruction too, where it does not hold them back.
PROBERACE_PROMISED(HandlersMayJump);
TEST_P(HandlersMayJump, H26_H76_ASignalHandlerLeavesAHitByALongJump) {
  expect_promise_kept(GetParam(), Promise::HandlersMayJump);
}

PROBERACE_PROMISED(ForkSafe);
TEST_P(ForkSafe, H27_H72_AForkedChildRunsOnAndCountsForItself) {
  expect_promise_kept(GetParam(), Promise::ForkSafe);
}

PROBERACE_PROMISED(VforkSafe);
TEST_P(VforkSafe, H28_AChildThatSharesTheMemoryHits) {
  expect_promise_kept(GetParam(), Promise::VforkSafe);
}

PROBERACE_PROMISED(ProbesInOwnPath);
TEST_P(ProbesInOwnPath, H29_LibcIsProbedAndNothingRecurses) {
  expect_promise_kept(GetParam(), Promise::ProbesInOwnPath);
}

PROBERACE_PROMISED(AltstackKept);
TEST_P(AltstackKept, H30_H75_TheAlternateStackIsAsItWas) {
  expect_promise_kept(GetParam(), Promise::AltstackKept);
}

PROBERACE_PROMISED(SmallStacks);
TEST_P(SmallStacks, H30_AHitOnAStackOfOneRedZone) {
  expect_promise_kept(GetParam(), Promise::SmallStacks);
}

PROBERACE_PROMISED(SigtrapMayBeBlocked);
TEST_P(SigtrapMayBeBlocked, H30_H71_HitsWhileSigtrapIsBlockedKeepItsMaskAndAction) {
  expect_promise_kept(GetParam(), Promise::SigtrapMayBeBlocked);
}

PROBERACE_PROMISED(SigtrapMayBeTaken);
TEST_P(SigtrapMayBeTaken, H30_HitsAfterTheProgramTookSigtrap) {
  expect_promise_kept(GetParam(), Promise::SigtrapMayBeTaken);
}

PROBERACE_PROMISED(OwnTrapsDelivered);
TEST_P(OwnTrapsDelivered, H31_H70_TheProgramsOwnTrapsReachItsHandler) {
  expect_promise_kept(GetParam(), Promise::OwnTrapsDelivered);
}

PROBERACE_PROMISED(AnyFlags);
TEST_P(AnyFlags, H31_H75_AnyFlagsAreKeptAndTheProgramMayStepItself) {
  expect_promise_kept(GetParam(), Promise::AnyFlags);
}

PROBERACE_PROMISED(FaultsSeeOriginalPc);
TEST_P(FaultsSeeOriginalPc, H32_AFaultIsReportedAtTheSite) {
  expect_promise_kept(GetParam(), Promise::FaultsSeeOriginalPc);
}

PROBERACE_PROMISED(RepeatsCountOnce);
TEST_P(RepeatsCountOnce, H43_ARepeatedStringInstructionIsOneHit) {
  expect_promise_kept(GetParam(), Promise::RepeatsCountOnce);
}

PROBERACE_PROMISED(RedZoneIntact);
TEST_P(RedZoneIntact, H33_NothingIsWrittenBelowTheStackPointer) {
  expect_promise_kept(GetParam(), Promise::RedZoneIntact);
}

PROBERACE_PROMISED(VectorStateIntact);
TEST_P(VectorStateIntact, H34_VectorAndX87StateIsUntouched) {
  expect_promise_kept(GetParam(), Promise::VectorStateIntact);
}

PROBERACE_PROMISED(ChangesTakeEffect);
TEST_P(ChangesTakeEffect, H39_WhatAHandlerWritesIsWhatTheThreadGoesOnWith) {
  expect_promise_kept(GetParam(), Promise::ChangesTakeEffect);
}

PROBERACE_PROMISED(RseqIntact);
TEST_P(RseqIntact, H68_ARestartableSequenceStillCommits) {
  expect_promise_kept(GetParam(), Promise::RseqIntact);
}

PROBERACE_PROMISED(AnyThreadPointer);
TEST_P(AnyThreadPointer, H75_HitsWithAnotherThreadPointer) {
  expect_promise_kept(GetParam(), Promise::AnyThreadPointer);
}

PROBERACE_PROMISED(HelperMayDie);
TEST_P(HelperMayDie, H77_KilledHelpersLeaveTheProgramRunning) {
  expect_promise_kept(GetParam(), Promise::HelperMayDie);
}

} // namespace proberace
