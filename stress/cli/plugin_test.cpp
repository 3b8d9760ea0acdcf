// A strategy built outside the tree, as strategies/README.md shows it: installed headers, CMake package,
// program.
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>

namespace proberace {

namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string example() {
  return text_of(PROBERACE_SOURCE "/strategies/example/one_slot.cpp");
}

class OutOfTree : public testing::Test {
protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("proberace-plugin-{}", ::getpid());
    std::filesystem::create_directories(folder_);
    installed_ = folder_.string() + "/installed";
    const Outcome o =
        run_shell(fmt::format("cmake --install {} --prefix {} 2>&1", PROBERACE_BUILD, installed_));
    ASSERT_EQ(o.status, 0) << o.out;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  void build() const {
    const Outcome built =
        run_shell(fmt::format("cd {} && cmake -S . -B build -G Ninja -DCMAKE_PREFIX_PATH={} 2>&1 && "
                              "cmake --build build 2>&1",
                              folder_.string(), installed_));
    ASSERT_EQ(built.status, 0) << built.out;
  }
  // By hand, without CMake: lib`name`.so of `name`.cpp.
  void compile(const std::string& name, const std::string& flags = {}) const {
    const Outcome o = run_shell(
        fmt::format("cd {0} && c++ -std=c++23 -shared -fPIC {3} -I{1}/include/proberace -o lib{2}.so "
                    "{2}.cpp 2>&1",
                    folder_.string(), installed_, name, flags));
    ASSERT_EQ(o.status, 0) << o.out;
  }
  Outcome installed_run(const std::string& arguments, const char* errors = "2>&1") const {
    return run_shell(
        fmt::format("cd {} && installed/bin/proberace {} {}", folder_.string(), arguments, errors));
  }

  std::filesystem::path folder_;
  std::string installed_;
};

} // namespace

TEST_F(OutOfTree, TheExampleIsBuiltOutsideTheTreeAndItsRaceIsFound) {
  write("mine.cpp", example());
  write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\n"
                          "find_package(proberace REQUIRED)\nadd_library(mine MODULE mine.cpp)\n"
                          "target_link_libraries(mine PRIVATE proberace::plugin)\n");
  ASSERT_NO_FATAL_FAILURE(build());

  const Outcome list = installed_run("--plugin build/libmine.so list");
  EXPECT_EQ(list.status, 0) << list.out;
  EXPECT_NE(list.out.find("one slot for all"), std::string::npos) << list.out;

  const Outcome hunt =
      installed_run("--plugin build/libmine.so hunt --strategy poke+one-slot --scheduler random "
                    "--seed 1 --budget 60s --json",
                    "2>/dev/null");
  EXPECT_EQ(hunt.status, 1) << hunt.out;
  const Json report = Json::parse(hunt.out, nullptr, false);
  ASSERT_TRUE(report.is_object() && report.value("counterexample", Json()).is_object()) << hunt.out;
  const std::string file = report["counterexample"]["file"];
  const Outcome replay = installed_run("--plugin build/libmine.so replay --times 20 " + file, "2>/dev/null");
  EXPECT_EQ(replay.status, 1) << replay.out;
  EXPECT_NE(replay.out.find("one-slot.filled"), std::string::npos) << replay.out; // its own points are steps
  EXPECT_NE(replay.out.find("reproduced 20 of 20 times"), std::string::npos) << replay.out;
  EXPECT_EQ(installed_run("replay " + file).status, 2); // without the plug-in there is no such strategy
}

// A plug-in ends the process in arming for the first, third or fortieth time. Whichever schedule that belongs
// to, the file that is kept does it again.
TEST_F(OutOfTree, WhatBreaksInArmingIsReplayed) {
  const std::string begin = "const Abilities&) override {";
  for (const int time : {1, 3, 40}) {
    std::string code = example();
    ASSERT_NE(code.find(begin), std::string::npos);
    code.insert(code.find(begin) + begin.size(),
                fmt::format("static int planned; if (++planned == {}) __builtin_trap();", time));
    const std::string name = fmt::format("arming{}", time);
    write(name + ".cpp", code);
    ASSERT_NO_FATAL_FAILURE(compile(name));
    const std::string program = fmt::format("--plugin ./lib{}.so ", name);
    const Outcome hunt = installed_run(
        fmt::format("{} hunt --strategy poke+one-slot --scheduler random --seed 1 --budget 20s --json {}",
                    program, time == 1 ? "" : "--as-found"),
        "2>/dev/null");
    EXPECT_EQ(hunt.status, 1) << hunt.out;
    const Json report = Json::parse(hunt.out, nullptr, false);
    ASSERT_TRUE(report.is_object() && report.value("counterexample", Json()).is_object()) << hunt.out;
    EXPECT_TRUE(report["counterexample"]["recurs"]) << hunt.out;
    EXPECT_LT(report["scenarios"], 20) << "one that arms breaks";
    const std::string file = report["counterexample"]["file"];
    const Outcome replay = installed_run(program + "replay --times 10 " + file, "2>/dev/null");
    EXPECT_EQ(replay.status, 1) << replay.out;
    EXPECT_NE(replay.out.find("reproduced 10 of 10 times"), std::string::npos) << replay.out;
  }
}

// A removal that ends with NotQuiescent has taken the probe away: what is executed behind it may count or
// not, and is no lost hit (seen with H22 on a busy machine, where a removal came upon its time limit).
TEST_F(OutOfTree, WhatFollowsARemovalThatIsNotQuiescentIsNotJudged) {
  write("hurried.cpp", R"(
#include "harness/probe/registry.h"
using namespace proberace;
class Hurried final : public Prober {
  std::unique_ptr<Prober> real_ = std::move(*make_prober("poke+xol-boost"));
public:
  std::string name() const override { return "hurried"; }
  Promises promises() const override { return real_->promises(); }
  Status open(const Target& target) override { return real_->open(target); }
  Status close() override { return real_->close(); }
  SiteResults insert(std::span<const Site> sites) override { return real_->insert(sites); }
  SiteResults remove(std::span<const Site> sites) override {
    SiteResults results = real_->remove(sites);
    for (Status& result : results)
      if (result) result = std::unexpected(Error{ErrorKind::NotQuiescent, {}, "in a hurry"});
    return results;
  }
  std::uint64_t hits(const Site& site) const override { return real_->hits(site); }
  std::expected<std::uint64_t, Error> hits(const Site& site, pid_t thread) const override {
    return real_->hits(site, thread);
  }
  Status set_handler(HitHandler handler, void* argument) override { return real_->set_handler(handler, argument); }
  Footprint footprint() const override { return real_->footprint(); }
  PathCounts paths() const override { return real_->paths(); }
};
const bool registered = register_whole("hurried", "does not wait", [] { return std::make_unique<Hurried>(); });
)");
  ASSERT_NO_FATAL_FAILURE(compile("hurried"));
  write("hurried.scenario", "strategy hurried\nplan oversubscribed\nbodies A=mov\n"
                            "thread 0 pinned: run A until-done\nthread 1 pinned: run A until-done\n"
                            "thread 2: insert A; pause 2000; remove A; pause 2000\n");
  const Outcome o = installed_run(
      "--plugin ./libhurried.so hunt --json --scenario hurried.scenario --budget 1ms", "2>/dev/null");
  EXPECT_EQ(o.status, 0) << o.out;
  const Json data = Json::parse(o.out).at("data");
  EXPECT_GT(data.at("must"), 0);
  EXPECT_EQ(data.at("removed"), 0);
  EXPECT_NE(data.at("first_refusal").get<std::string>().find("in a hurry"), std::string::npos) << o.out;
}

// As harness/probe/prober.h begins, in a program of one's own.
TEST_F(OutOfTree, AProgramOutsideTheTreeProbesItselfWithTheLibrary) {
  write("app.cpp", R"(
#include "harness/probe/registry.h"
#include "harness/code/target.h"
using namespace proberace;
extern "C" [[gnu::noinline]] int twice(int x) { return 2 * x; }
int main(int, char** arguments) {
  Target target;
  auto prober = make_prober(arguments[1]);
  auto site = target.site_at(Address{reinterpret_cast<std::uintptr_t>(&twice)});
  if (!prober || !site || !(*prober)->open(target) || !(*prober)->insert({{*site}})[0]) return 2;
  int (*volatile call)(int) = &twice;
  for (int i = 0; i < 1000; ++i)
    if (call(i) != 2 * i) return 3;
  if ((*prober)->hits(*site) != 1000 || !(*prober)->remove({{*site}})[0]) return 4;
  call(1);
  return (*prober)->hits(*site) == 1000 && (*prober)->close() ? 0 : 5;
}
)");
  write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(app LANGUAGES CXX)\n"
                          "find_package(proberace REQUIRED COMPONENTS library)\nadd_executable(app app.cpp)\n"
                          "target_link_libraries(app PRIVATE proberace::proberace)\n");
  ASSERT_NO_FATAL_FAILURE(build());
  for (const char* strategy : {"poke+xol-boost", "pte-swap+xol-vma", "auto"}) {
    const Outcome o = run_shell(fmt::format("cd {} && build/app {} 2>&1", folder_.string(), strategy));
    EXPECT_EQ(o.status, 0) << strategy << o.out;
  }
}

TEST_F(OutOfTree, WhatCannotBeUsedIsRefusedInOneLine) {
  const auto refused = [&](const std::string& plugin, const std::string& words,
                           const std::string& command = "list") {
    const Outcome o = installed_run(fmt::format("--plugin {} {}", plugin, command));
    EXPECT_EQ(o.status, 2) << o.out;
    EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1) << o.out;
    EXPECT_NE(o.out.find(words), std::string::npos) << o.out;
  };
  refused("nowhere.so", "cannot load the plug-in");
  write("empty.cpp", "int nothing;\n");
  compile("empty");
  refused("libempty.so", "registers no strategy");
  const std::string long_hunt =
      "hunt --strategy poke+one-slot --scheduler random --resume long --seeds 1-2 --per-scenario 5";
  write("nameless.cpp", example());
  compile("nameless", "-Wl,--build-id=none");
  refused("libnameless.so", "has no build id", long_hunt);
  compile("nameless");
  EXPECT_LE(installed_run("--plugin libnameless.so " + long_hunt).status, 1);
  const std::string header = installed_ + "/include/proberace/harness/probe/registry.h";
  std::string text = text_of(header);
  constexpr std::string_view kSymbol = "proberace_interface_";
  const std::size_t version = text.find(kSymbol);
  ASSERT_NE(version, std::string::npos);
  std::ofstream(header) << text.insert(version + kSymbol.size(), "0");
  write("old.cpp", example());
  compile("old");
  refused("libold.so", "built against another interface");
}

} // namespace proberace
