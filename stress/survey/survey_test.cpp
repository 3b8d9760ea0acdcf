// Debian's libz surveyed: what is said to be probed was armed, and everything is accounted for.
#include "stress/survey/survey.h"

#include "stress/code/elf_text.h"
#include "stress/code/object_code.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr const char* kLibrary = "/lib/x86_64-linux-gnu/libz.so.1";

std::uint64_t sum(const Json& counts) {
  std::uint64_t all = 0;
  for (const auto& [name, count] : counts.items())
    all += count.is_object() ? sum(count) : count.get<std::uint64_t>();
  return all;
}

} // namespace

TEST(ElfSurvey, EveryInstructionIsArmedInOneWayOrRefusedForOneReason) {
  if (!ElfText::map(kLibrary))
    GTEST_SKIP() << "no " << kLibrary;
  const auto surveys =
      survey_elf({kLibrary}, {"poke+emulate|xol-vma", "poke+emulate", "jump"}, 4000, [](auto&) {});
  ASSERT_EQ(surveys.size(), 3U);
  for (const ElfSurvey& s : surveys) {
    SCOPED_TRACE(s.strategy);
    ASSERT_TRUE(s.verdict.is(Ending::Held)) << s.verdict.summary;
    const Json& data = s.verdict.data;
    EXPECT_EQ(data.at("instructions"), 4000);
    EXPECT_EQ(sum(data.at("ways")), data.at("armed"));
    EXPECT_EQ(sum(data.at("mnemonics")), data.at("armed"));
    EXPECT_EQ(data.at("armed").get<std::uint64_t>() + sum(data.at("refused")), 4000);
  }
  // One refuses what it cannot emulate, by name; the other steps just that.
  const Json& both = surveys[0].verdict.data;
  const Json& alone = surveys[1].verdict.data;
  EXPECT_EQ(both.at("armed"), 4000);
  EXPECT_EQ(both.at("ways").at("emulated"), alone.at("armed"));
  EXPECT_EQ(both.at("ways").at("stepped"), sum(alone.at("refused")));
  EXPECT_GT(sum(alone.at("refused")), 0U);
  for (const char* way : {"jump", "pun"})
    EXPECT_GT(surveys[2].verdict.data.at("ways").at(way), 0) << way;
}

// By whichever of the two is found first by name, one of these would be the other's.
TEST(ElfSurvey, AFileMappedTwiceIsTwoObjects) {
  const auto elf = ElfText::map("/lib/x86_64-linux-gnu/libc.so.6");
  ASSERT_TRUE(elf);
  const Target target;
  const AddressSpace space = target.address_space();
  const Address running = address_of(reinterpret_cast<const void*>(&::getppid));
  for (const Address inside : {elf->text(), running}) {
    const std::vector<CodePoint> code = all_instructions(target, inside);
    ASSERT_FALSE(code.empty());
    EXPECT_EQ(space.find(code.front().address), space.find(inside));
    EXPECT_EQ(space.find(code.back().address), space.find(inside));
  }
}

TEST(ElfSurvey, AFileIsSurveyedApartFromItsCopyThatRuns) {
  const auto surveys = survey_elf({"/lib/x86_64-linux-gnu/libc.so.6"}, {"poke+xol-vma"}, 3000, [](auto&) {});
  EXPECT_TRUE(surveys.at(0).verdict.is(Ending::Held)) << surveys.at(0).verdict.summary;
}

} // namespace proberace
