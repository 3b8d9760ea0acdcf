// Facts of what is put together, and roles that plug-ins claim.
#include "harness/probe/facts.h"
#include "harness/probe/roles.h"

#include <gtest/gtest.h>

namespace proberace {

namespace {

constexpr Facts kEmulates{.paths = {Path::Emulated}, .selective = true};
constexpr Facts kSteps{.paths = {Path::SlotStep}};
constexpr Facts kJumps{.paths = {Path::Trampoline}, .traps = Traps::NoHit, .selective = true};
constexpr Facts kSlow{
    .removal = Removal::Slow, .schedulable = false, .counts_threads = false, .most_sites = 9};

} // namespace

TEST(PathSets, AreOnlyWhatOthersHave) {
  EXPECT_TRUE((PathSet{Path::Emulated}.only({Path::Emulated, Path::SlotStep})));
  EXPECT_FALSE((PathSet{Path::Emulated, Path::SlotJump}.only({Path::Emulated})));
  EXPECT_FALSE(PathSet{}.only({Path::Emulated})); // not stated is not known
}

// A plug-in that states nothing must not be taken for the kernel's, or for a jump.
TEST(FactsOfAPlugIn, ThatStatesNoneAreThoseOfATrapInTheProcess) {
  const Facts none;
  EXPECT_TRUE(none.schedulable && none.counts_threads);
  EXPECT_FALSE(none.selective || none.machine_wide || none.stops_threads || none.threads_must_answer);
  EXPECT_EQ(none.traps, Traps::EveryHit);
  EXPECT_EQ(none.handled_by, HandledBy::Thread);
  EXPECT_TRUE(none.paths.empty());
  EXPECT_EQ(none & kSteps, kSteps); // an armer that states nothing, beside a stepper
}

TEST(FactsOfParts, WhatOnePartDoesTheWholeDoes) {
  const Facts both = Facts{.stops_threads = true} & kEmulates & Facts{.handled_by = HandledBy::Supervisor};
  EXPECT_TRUE(both.stops_threads && both.selective);
  EXPECT_FALSE(both.composed);
  EXPECT_EQ(both.handled_by, HandledBy::Supervisor);
  EXPECT_EQ(both.paths, PathSet{Path::Emulated});
  const Facts slow = kSteps & kSlow;
  EXPECT_FALSE(slow.schedulable || slow.counts_threads);
  EXPECT_EQ(slow.removal, Removal::Slow);
  EXPECT_EQ(slow.most_sites, 9U);
  EXPECT_EQ((kSlow & Facts{.most_sites = 4}).most_sites, 4U);
  EXPECT_TRUE((Facts{.gives_pages_back = true} & Facts{}).gives_pages_back);
}

TEST(FactsOfAChoice, TakeWhatOneOfThemTakesAndMayGoEitherWay) {
  const Facts steps_or_emulates = kEmulates | kSteps;
  EXPECT_FALSE(steps_or_emulates.selective);
  EXPECT_TRUE(steps_or_emulates.composed);
  EXPECT_EQ(steps_or_emulates.paths, (PathSet{Path::Emulated, Path::SlotStep}));
  EXPECT_EQ(steps_or_emulates.traps, Traps::EveryHit);
  EXPECT_EQ((kJumps | steps_or_emulates).traps, Traps::SomeHits);
  EXPECT_TRUE((kJumps | kEmulates).selective);
  EXPECT_TRUE((kJumps | Facts{}).paths.empty()); // the other may go anywhere
  EXPECT_FALSE((Facts{.gives_pages_back = true} | Facts{}).gives_pages_back);
}

TEST(Roles, HaveOneHolderEach) {
  EXPECT_EQ(holder_of(Role::ReferenceArmer), "");
  EXPECT_TRUE(claim(Role::ReferenceArmer, "first"));
  EXPECT_EQ(holder_of(Role::ReferenceArmer), "first");
  EXPECT_DEATH(claim(Role::ReferenceArmer, "second"), "claim one role: 'first' and 'second'");
}

TEST(Roles, APlainNameStandsForTheVariantThatClaimedIt) {
  EXPECT_EQ(full_name("arming"), "arming");
  EXPECT_TRUE(claim_plain_name("arming/fast"));
  EXPECT_EQ(full_name("arming"), "arming/fast");
  EXPECT_EQ(plain_name("arming/fast"), "arming");
  EXPECT_EQ(plain_name("arming/slow"), "arming/slow");
  EXPECT_EQ(full_name("arming/slow"), "arming/slow");
  EXPECT_DEATH(claim_plain_name("arming/slow"), "'arming/fast' and 'arming/slow'");
}

} // namespace proberace
