// scripts/remake-mutant, in a tree of its own: a patch follows the code it changes, or is refused.
#include "harness/base/shell.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>

namespace proberace {

namespace {

constexpr const char* kHead = "Hazards: H01\nStrategy: poke+emulate\nExpected: crashed\nWhy: an example\n";

class RemakeMutant : public testing::Test {
protected:
  void SetUp() override {
    tree_ = std::filesystem::temp_directory_path() / fmt::format("proberace-remake-{}", ::getpid());
    std::filesystem::create_directories(tree_ / "scripts");
    std::filesystem::create_directories(tree_ / "stress/mutants");
    for (const char* const script : {"lib.sh", "remake-mutant"})
      std::filesystem::copy(std::filesystem::path(PROBERACE_SOURCE) / "scripts" / script, tree_ / "scripts");
    run_shell(fmt::format("git -C {} init -q", tree_.string()));
  }
  void TearDown() override { std::filesystem::remove_all(tree_); }

  void write(const char* file, const std::string& text) const { std::ofstream(tree_ / file) << text; }
  void write_patch(const std::string& change) const { write("stress/mutants/m.patch", kHead + change); }
  std::string patch() const {
    std::ifstream in(tree_ / "stress/mutants/m.patch");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Outcome remake() const { return run_shell(fmt::format("{}/scripts/remake-mutant m 2>&1", tree_.string())); }

private:
  std::filesystem::path tree_;
};

constexpr const char* kChange =
    "--- a/code.cpp\n+++ b/code.cpp\n@@ -2,5 +2,5 @@ void f() {\n   one();\n   two();\n"
    "-  three();\n+  lost();\n   four();\n   five();\n";

TEST_F(RemakeMutant, APatchFollowsTheLinesItChanges) {
  write_patch(kChange);
  write("code.cpp",
        "#include <new>\nvoid f() {\n  first();\n  second();\n  three();\n  four();\n  five();\n}\n");
  const Outcome o = remake();
  EXPECT_EQ(o.status, 0) << o.out;
  EXPECT_EQ(patch(),
            std::string(kHead) +
                "--- a/code.cpp\n+++ b/code.cpp\n@@ -3,5 +3,5 @@ void f() {\n   first();\n   second();\n"
                "-  three();\n+  lost();\n   four();\n   five();\n");
}

TEST_F(RemakeMutant, APatchThatAppliesStaysAsItIs) {
  write_patch(kChange);
  write("code.cpp", "void f() {\n  one();\n  two();\n  three();\n  four();\n  five();\n}\n");
  const Outcome o = remake();
  EXPECT_EQ(o.out, "m: as it was\n");
  EXPECT_EQ(patch(), std::string(kHead) + kChange);
}

TEST_F(RemakeMutant, AChangeOfLinesThatAreGoneIsRefused) {
  write_patch(kChange);
  write("code.cpp", "void f() {\n  one();\n  two();\n  four();\n  five();\n}\n");
  const Outcome o = remake();
  EXPECT_EQ(o.status, 1);
  EXPECT_NE(o.out.find("m: the lines it changes are not there any more"), std::string::npos) << o.out;
  EXPECT_EQ(patch(), std::string(kHead) + kChange);
}

// Nothing but its context says where a line is added: one that is put anywhere else is another bug.
TEST_F(RemakeMutant, ALineIsNotAddedWhereNothingAroundItIsTheSame) {
  const std::string added =
      "--- a/code.cpp\n+++ b/code.cpp\n@@ -2,4 +2,5 @@ void f() {\n   one();\n   two();\n"
      "+  lost();\n   three();\n   four();\n";
  write_patch(added);
  write("code.cpp", "void f() {\n  1();\n  2();\n  3();\n  4();\n}\n");
  EXPECT_EQ(remake().status, 1);
  EXPECT_EQ(patch(), std::string(kHead) + added);
}

} // namespace

} // namespace proberace
