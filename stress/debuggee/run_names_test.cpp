// Each form in which `run --probe` takes a name, in real programs whose calls are known.
#include "harness/base/json.h"
#include "harness/base/shell.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace proberace {

namespace {

namespace fs = std::filesystem;

// Calls each function another number of times.
constexpr char kShop[] = R"(
#include <cstdio>
#include <dlfcn.h>
#define KEEP __attribute__((noinline))
namespace shop {
struct Cart {
  int total = 0;
  KEEP void add(int n) { total += n; asm volatile("" ::: "memory"); }
  KEEP void add(double n) { total += static_cast<int>(n); asm volatile("" ::: "memory"); }
  KEEP Cart& operator+=(int n) { total += n; asm volatile("" ::: "memory"); return *this; }
};
template <typename T> KEEP T twice(T x) { asm volatile("" ::: "memory"); return x + x; }
}
namespace { KEEP int helper(int x) { asm volatile("" ::: "memory"); return x + 1; } }
extern "C" KEEP int plain(int x) { asm volatile("" ::: "memory"); return x * 2; }
extern "C" KEEP int plane(int x) { asm volatile("" ::: "memory"); return x * 3; }
extern "C" KEEP int odd(int x) { asm volatile("" ::: "memory"); return x * 4; }
extern "C" int counted(int);
int main() {
  shop::Cart c;
  int s = 0;
  for (int i = 0; i < 1; ++i) c.add(i);
  for (int i = 0; i < 2; ++i) c.add(1.5);
  for (int i = 0; i < 3; ++i) c += i;
  for (int i = 0; i < 4; ++i) s += shop::twice(i);
  for (int i = 0; i < 5; ++i) s += helper(i);
  for (int i = 0; i < 6; ++i) s += plain(i);
  for (int i = 0; i < 7; ++i) s += plane(i);
  for (int i = 0; i < 8; ++i) s += odd(i);
  for (int i = 0; i < 9; ++i) s += counted(i);
  std::printf("%d\n", s + c.total);
}
)";
// A library that has another file name than SONAME, and two versions of one name.
constexpr char kLibrary[] = R"(
__asm__(".symver counted_old, counted@V1");
__asm__(".symver counted_new, counted@@V2");
__attribute__((noinline)) int counted_old(int x) { __asm__ volatile("" ::: "memory"); return x; }
__attribute__((noinline)) int counted_new(int x) { __asm__ volatile("" ::: "memory"); return x + 1; }
)";

// One process for all tests of the suite: built once.
class RunNames : public testing::Test {
protected:
  static void SetUpTestSuite() {
    directory_ = fmt::format("/tmp/proberace-names-{}", ::getpid());
    fs::create_directory(directory_);
    std::ofstream(directory_ / "shop.cpp") << kShop;
    std::ofstream(directory_ / "counted.c") << kLibrary;
    std::ofstream(directory_ / "counted.map")
        << "V1 { global: counted; local: *; }; V2 { global: counted; } V1;";
    const Outcome built = run_shell(
        fmt::format("cd {} && {{ gcc -O1 -g -shared -fPIC counted.c "
                    "-Wl,--version-script,counted.map -Wl,-soname,libcounted.so.1 "
                    "-o libcounted-1.5.so && ln -s libcounted-1.5.so libcounted.so.1 && "
                    "g++ -O1 -g -c shop.cpp && objcopy --redefine-sym 'odd=-[Cart add:to:]+1' shop.o && "
                    "g++ shop.o ./libcounted-1.5.so -Wl,-rpath,. -o shop; }} 2>&1",
                    directory_.string()));
    ASSERT_EQ(built.status, 0) << built.out;
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }

  // Each place with its hits.
  using Hits = std::map<std::string, int>;
  static Hits hits(const std::string& options, const std::string& program = "./shop", int status = 0) {
    const fs::path report = directory_ / "report.json";
    fs::remove(report);
    const Outcome o = run(fmt::format("{} --json --out report.json -- {}", options, program));
    EXPECT_EQ(o.status, status) << o.out;
    Hits all;
    if (fs::exists(report))
      for (const Json counts = Json::parse(std::ifstream(report)); const Json& row : counts["sites"])
        all[row["place"]] = row["hits"];
    return all;
  }
  static Outcome run(const std::string& options) {
    return run_shell(fmt::format("cd {} && {} run --strategy '{}' {} 2>&1", directory_.string(),
                                 PROBERACE_PROGRAM, kStrategy, options));
  }
  static std::string refusal(const std::string& options, const std::string& program = "./shop") {
    const Outcome o = run(fmt::format("{} -- {}", options, program));
    EXPECT_EQ(o.status, 2) << o.out;
    EXPECT_EQ(std::ranges::count(o.out, '\n'), 1) << o.out;
    return o.out;
  }

  static constexpr const char* kStrategy = "ptrace:poke+emulate|xol-vma";
  static inline fs::path directory_;
};

} // namespace

TEST_F(RunNames, WithoutAnObjectAreSearchedEverywhere) {
  EXPECT_EQ(hits("--probe plain"), (Hits{{"shop:plain", 6}}));
  EXPECT_EQ(hits("--probe counted"),
            (Hits{{"libcounted-1.5.so:counted@V1", 0}, {"libcounted-1.5.so:counted@V2", 9}}));
}

TEST_F(RunNames, TakeAnObjectByEachOfItsNames) {
  for (const char* const object :
       {"libcounted-1.5.so", "libcounted.so.1", "./libcounted-1.5.so", "./libcounted.so.1", "libcounted-1.5",
        "libcounted*", "'\"libcounted.so.1\"'"})
    EXPECT_EQ(hits(fmt::format("--probe {}:counted@V2", object)), (Hits{{"libcounted-1.5.so:counted", 9}}))
        << object;
  EXPECT_EQ(hits(fmt::format("--probe {}/libcounted.so.1:counted@V2", directory_.string())),
            (Hits{{"libcounted-1.5.so:counted", 9}}));
}

TEST_F(RunNames, AreDemangledWithTheirOverloads) {
  EXPECT_EQ(hits("--probe shop::Cart::add"),
            (Hits{{"shop:shop::Cart::add(int)", 1}, {"shop:shop::Cart::add(double)", 2}}));
  EXPECT_EQ(hits("--probe 'shop:shop::Cart::add(double)'"), (Hits{{"shop:shop::Cart::add(double)", 2}}));
  EXPECT_EQ(hits("--probe shop:shop::Cart::operator+="), (Hits{{"shop:shop::Cart::operator+=(int)", 3}}));
  EXPECT_EQ(hits("--probe 'shop::twice<int>'"), (Hits{{"shop:int shop::twice<int>(int)", 4}}));
  EXPECT_EQ(hits("--probe Cart::operator+="), (Hits{{"shop:shop::Cart::operator+=(int)", 3}}));
  EXPECT_EQ(hits("--probe helper"), (Hits{{"shop:(anonymous namespace)::helper(int)", 5}}));
}

TEST_F(RunNames, HoldAnyCharacter) {
  EXPECT_EQ(hits("--probe 'shop:-[Cart add:to:]+1'"), (Hits{{"shop:-[Cart add:to:]+1", 8}}));
  EXPECT_EQ(hits("--probe '\"-[Cart add:to:]+1\"'"), (Hits{{"shop:-[Cart add:to:]+1", 8}}));
}

TEST_F(RunNames, ArePatterns) {
  EXPECT_EQ(hits("--probe 'shop:pla*'"), (Hits{{"shop:plain", 6}, {"shop:plane", 7}}));
  EXPECT_EQ(hits("--probe 'shop:shop::Cart::*'").size(), 3U);
}

TEST_F(RunNames, AreOffsetsAndAddresses) {
  const Outcome o = run_shell(
      fmt::format("nm {}/shop | sed -n 's/^0*\\([0-9a-f]*\\) T plain$/\\1/p'", directory_.string()));
  const std::string address = o.out.substr(0, o.out.find('\n'));
  EXPECT_EQ(hits("--probe shop:0x" + address), (Hits{{"shop:0x" + address, 6}}));
  EXPECT_EQ(hits(fmt::format("--probe shop:0x{} --probe plain", address)), (Hits{{"shop:plain", 6}}))
      << "two names of one place are one probe";
  const std::string inside = refusal("--probe shop:plain+1");
  EXPECT_NE(inside.find("shop:plain+0x1: no instruction of plain is seen to begin here"), std::string::npos)
      << inside;
  EXPECT_NE(refusal("--probe shop:0xfffffff").find("has nothing at address 0xfffffff"), std::string::npos);
}

TEST_F(RunNames, OfASeparateDebugFileAreKnown) {
  const Outcome made = run_shell(fmt::format("cd {} && {{ cp shop stripped && objcopy --only-keep-debug "
                                             "stripped stripped.debug && strip stripped && "
                                             "objcopy --add-gnu-debuglink=stripped.debug stripped; }} 2>&1",
                                             directory_.string()));
  ASSERT_EQ(made.status, 0) << made.out;
  EXPECT_EQ(hits("--probe plain --probe helper", "./stripped"),
            (Hits{{"stripped:plain", 6}, {"stripped:(anonymous namespace)::helper(int)", 5}}));
  fs::remove(directory_ / "stripped.debug");
  EXPECT_NE(refusal("--probe plain", "./stripped").find("no loaded object has a function 'plain'"),
            std::string::npos);
}

TEST_F(RunNames, StandInAFile) {
  std::ofstream(directory_ / "probes") << "# of the shop\nplain\n\n  shop:plane  \n";
  EXPECT_EQ(hits("--probes-from probes"), (Hits{{"shop:plain", 6}, {"shop:plane", 7}}));
  EXPECT_EQ(hits("--probes-from - <probes --probe shop::Cart::operator+=").size(), 3U);
  EXPECT_NE(refusal("--probes-from nowhere").find("cannot read 'nowhere'"), std::string::npos);
}

TEST_F(RunNames, ThatMeanNothingAreRefusedWithSimilarOnes) {
  EXPECT_NE(refusal("--probe plian").find("similar names are 'plain'"), std::string::npos);
  EXPECT_NE(
      refusal("--probe libnosuch.so:f").find("no loaded object is called 'libnosuch.so'; loaded are shop"),
      std::string::npos);
  EXPECT_NE(refusal("--probe shop:nosuch").find("shop has no function 'nosuch'"), std::string::npos);
  EXPECT_NE(refusal("--probe libcounted.so.1:counted@V3").find("has no function 'counted@V3'"),
            std::string::npos);
}

TEST_F(RunNames, ThatAreRefusedRefuseTheRunUnlessItIsPartial) {
  const std::string two = "--probe plain --probe shop:plane+1 --probe nosuch";
  const std::string words = refusal(two);
  EXPECT_NE(words.find("1 other is refused, too; --partial probes the other 1"), std::string::npos) << words;
  EXPECT_EQ(hits(two + " --partial"), (Hits{{"shop:plain", 6}}));
  const Json report = Json::parse(std::ifstream(directory_ / "report.json"));
  ASSERT_EQ(report["refused"].size(), 2U);
  EXPECT_EQ(report["refused"][0]["place"], "shop:plane+0x1");
  EXPECT_EQ(report["refused"][1]["probe"], "nosuch");
  EXPECT_NE(refusal("--probe nosuch --partial").find("no loaded object has"), std::string::npos);
}

TEST_F(RunNames, OfAllFunctionsAreProbed) {
  const Hits all = hits("--all-functions shop --partial");
  EXPECT_EQ(all.at("shop:plain"), 6);
  EXPECT_EQ(all.at("shop:(anonymous namespace)::helper(int)"), 5);
  EXPECT_EQ(all.at("shop:main"), 1);
}

TEST_F(RunNames, TheMostHitComeFirst) {
  const Outcome o = run("--all-functions shop --partial --top 2 -- ./shop");
  EXPECT_EQ(o.status, 0);
  EXPECT_NE(o.out.find("shop:-[Cart add:to:]+1"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("shop:plane"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("shop:plain"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find(" other places: "), std::string::npos) << o.out;
}

} // namespace proberace
