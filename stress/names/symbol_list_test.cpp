// proberace symbols against readelf and nm, on real files.
#include "harness/base/json.h"
#include "harness/base/shell.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <unistd.h>

namespace proberace {

namespace {

namespace fs = std::filesystem;

using Names = std::set<std::pair<std::uint64_t, std::string>>; // by address

// Lines "ADDRESS NAME" of a shell command.
Names printed_by(const std::string& command) {
  const Outcome o = run_shell(command + " 2>/dev/null");
  Names names;
  std::istringstream lines(o.out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.find(' ');
    names.emplace(std::stoull(line.substr(0, space), nullptr, 16), line.substr(space + 1));
  }
  return names;
}

// Functions and indirect ones that the file defines. The version that nm shows is taken off.
Names nm(const std::string& options, const std::string& file) {
  return printed_by(
      fmt::format("nm {} --defined-only {} 2>/dev/null | sed -n 's/^\\([0-9a-f]*\\) [tTi] /\\1 /p' | "
                  "sed 's/@.*$//'",
                  options, file));
}

Names readelf(const std::string& file) {
  return printed_by(fmt::format("readelf -sW {} | awk '($4==\"FUNC\" || $4==\"IFUNC\") && $7!=\"UND\" "
                                "{{ sub(/@.*/, \"\", $8); print $2, $8 }}'",
                                file));
}

Json symbols(const std::string& words) {
  const Outcome o = run_proberace("symbols " + words + " --json", "2>/dev/null");
  EXPECT_EQ(o.status, 0) << words;
  return o.status == 0 ? Json::parse(o.out) : Json{};
}

Names listed(const Json& list, const char* field) {
  Names names;
  for (const Json& object : list["objects"])
    for (const Json& f : object["functions"]) {
      std::string name = f[field];
      if (const std::string version = f["version"]; std::string_view(field) == "name" && !version.empty())
        name.resize(name.size() - version.size() - 1);
      names.emplace(f["address"], name);
    }
  return names;
}

std::string words_of(const Names& names) {
  std::string text;
  for (const auto& [address, name] : names)
    text += fmt::format("{:x} {}\n", address, name);
  return text;
}

// What is in one and not in the other.
std::string beyond(const Names& some, const Names& others) {
  Names more;
  std::ranges::set_difference(some, others, std::inserter(more, more.end()));
  return words_of(more);
}

class Symbols : public testing::Test {
protected:
  void SetUp() override {
    directory_ = fmt::format("/tmp/proberace-symbols-{}", ::getpid());
    fs::create_directory(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  fs::path directory_;
};

} // namespace

TEST_F(Symbols, AreThoseOfReadelfAndNm) {
  for (const std::string file : {"/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libstdc++.so.6",
                                 "/lib/x86_64-linux-gnu/libfmt.so.9", PROBERACE_PROGRAM}) {
    if (!fs::exists(file))
      continue;
    SCOPED_TRACE(file);
    const Json list = symbols(file);
    const Names own = listed(list, "symbol");
    EXPECT_FALSE(own.empty());
    const Names read = readelf(file), dynamic = nm("-D", file), all = nm("", file);
    for (const Names& others : {read, dynamic, all})
      EXPECT_EQ(beyond(others, own), "");
    if (all.empty())
      continue; // the others may be of a debug file
    Names known = read;
    known.insert(dynamic.begin(), dynamic.end());
    known.insert(all.begin(), all.end());
    EXPECT_EQ(beyond(own, known), "");
  }
}

TEST_F(Symbols, AreDemangledAsByNm) {
  const std::string file = "/lib/x86_64-linux-gnu/libstdc++.so.6";
  const Names own = listed(symbols(file), "name");
  EXPECT_EQ(beyond(nm("-D -C", file), own), "");
}

TEST_F(Symbols, OfADebugFileAreThoseBeforeStripping) {
  const std::string program = (directory_ / "whole").string();
  const Outcome made = run_shell(fmt::format(
      "cd {} && {{ printf '#include <stdio.h>\\n__attribute__((noinline)) static int inner(int x) {{ return "
      "x + 1; }}\\n"
      "int main(int c, char** v) {{ return printf(\"%%d\", inner(c)) + (v == 0); }}\\n' > whole.c && "
      "gcc -O1 -g whole.c -o whole && cp whole bare && objcopy --only-keep-debug bare bare.debug && strip "
      "bare && "
      "objcopy --add-gnu-debuglink=bare.debug bare; }} 2>&1",
      directory_.string()));
  ASSERT_EQ(made.status, 0) << made.out;
  const Names bare = listed(symbols((directory_ / "bare").string()), "symbol");
  EXPECT_EQ(beyond(readelf(program), bare), "");
  EXPECT_TRUE(std::ranges::any_of(bare, [](const auto& n) { return n.second == "inner"; }));
}

TEST_F(Symbols, OfAProcessAreThoseOfItsObjects) {
  const std::string own = std::to_string(::getpid());
  const Json list = symbols(own + " 'libc.so.6:getpp*'");
  ASSERT_EQ(list["objects"].size(), 1U);
  EXPECT_EQ(list["objects"][0]["soname"], "libc.so.6");
  const Names names = listed(list, "symbol");
  EXPECT_TRUE(std::ranges::any_of(names, [](const auto& n) { return n.second == "getppid"; }));
}

TEST_F(Symbols, ThatAreNotThereAreOneLineAndStatus2) {
  for (const char* const words : {"/no/such/file", "999999999", "/bin/true nosuch_function", "/etc/passwd"}) {
    const Outcome o = run_proberace(fmt::format("symbols {}", words));
    EXPECT_EQ(o.status, 2) << words << o.out;
    EXPECT_EQ(std::ranges::count(o.out, '\n'), 1) << o.out;
  }
}

} // namespace proberace
