// How a probe is read, and which of a file's symbols it means.
#include "stress/names/demangled.h"
#include "stress/names/function_name.h"
#include "stress/names/probe_name.h"
#include "stress/names/suggestions.h"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace proberace {

namespace {

std::string text_of(const ProbeName& n) {
  std::string text = n.object ? n.object->text + (n.object->quoted ? "\"" : "") + " | " : "";
  text += n.address ? fmt::format("{:#x}", *n.address) : n.function.text + (n.function.quoted ? "\"" : "");
  if (!n.version.empty())
    text += " @ " + n.version;
  return n.offset != 0 ? fmt::format("{} + {}", text, n.offset) : text;
}

std::vector<std::string> read(const std::string& text) {
  std::vector<std::string> readings;
  if (const auto all = readings_of(text))
    for (const ProbeName& name : *all)
      readings.push_back(text_of(name));
  return readings;
}

using Texts = std::vector<std::string>;

ElfSymbol symbol(const char* name, std::uint64_t start = 0x1000, std::string_view version = {}) {
  return {.name = name, .start = start, .bytes = 1, .version = version};
}

// The symbols meant by a name without an object, in the first way that means any.
Texts meant_by(const std::string& text, const std::vector<ElfSymbol>& symbols) {
  ElfImage image;
  image.symbols = symbols;
  const auto readings = readings_of(text);
  for (const ProbeName& name : readings.value())
    for (const MeantAs meaning : kMeanings) {
      Texts found;
      for (const ElfSymbol* const s : symbols_named(name, image, meaning))
        found.push_back(std::string(s->name) + (s->version.empty() ? "" : "@" + std::string(s->version)));
      if (!found.empty())
        return found;
    }
  return {};
}

const std::vector<ElfSymbol>& shop() {
  static const std::vector<ElfSymbol> symbols{
      symbol("main"),
      symbol("_ZN4shop4Cart3addEi"),
      symbol("_ZN4shop4Cart3addEd"),
      symbol("_ZN4shop4CartpLEi"),
      symbol("_ZN4shop5twiceIiEET_S1_"),
      symbol("_ZN12_GLOBAL__N_16helperEi"),
      symbol("_ZN4core3fmt5write17h0123456789abcdefE"),
      symbol("_RNvC6_123foo3bar"),
      symbol("_Z3fooi.cold"),
      symbol("_D4test3fooFiZi"),
      symbol("memcpy", 0x2000, "GLIBC_2.2.5"),
      symbol("memcpy", 0x3000, "GLIBC_2.14"),
      symbol("-[Cart add:to:]"),
      symbol("a+1"),
      symbol("inflate"),
      symbol("inflateEnd"),
  };
  return symbols;
}

} // namespace

TEST(ProbeNames, AreReadFromWholeToSplit) {
  EXPECT_EQ(read("malloc"), Texts{"malloc"});
  EXPECT_EQ(read("libz.so.1:inflate"), (Texts{"libz.so.1 | inflate", "libz.so.1:inflate"}));
  EXPECT_EQ(read("shop::Cart::add"), Texts{"shop::Cart::add"});
  EXPECT_EQ(read("./prog:shop::Cart::add").front(), "./prog | shop::Cart::add");
  EXPECT_EQ(read("prog:::add").front(), "prog | ::add");
  EXPECT_EQ(read("main+4"), (Texts{"main+4", "main + 4"}));
  EXPECT_EQ(read("p:main+0x10").at(1), "p | main + 16");
  EXPECT_EQ(read("f@V1"), (Texts{"f@V1", "f @ V1"}));
  EXPECT_EQ(read("f@@V1+2"), (Texts{"f@@V1+2", "f@@V1 + 2", "f @ V1 + 2", "f @ V1+2"}));
  EXPECT_EQ(read("p:0x401136").front(), "p | 0x401136");
  EXPECT_EQ(read("operator+"), Texts{"operator+"});
}

TEST(ProbeNames, InQuotesStandForThemselves) {
  EXPECT_EQ(read(R"("a:b+1")"), Texts{"a:b+1\""});
  EXPECT_EQ(read(R"(p:'a:b'+1)").front(), "p | a:b\" + 1");
  EXPECT_EQ(read(R"("my:lib":f@V)").back(), "my:lib\" | f @ V");
  EXPECT_EQ(read(R"("say \"a\"")"), Texts{"say \"a\"\""});
  EXPECT_EQ(read(R"("f"@V+3)"), Texts{"f\" @ V + 3"});
}

TEST(ProbeNames, ThatAreNoneAreRefused) {
  for (const char* const text : {"", ":", "libc.so.6:", "\"open", "'"})
    EXPECT_FALSE(readings_of(text)) << text;
}

TEST(FunctionNames, MeanSymbolsAndDemangledNames) {
  EXPECT_EQ(meant_by("main", shop()), Texts{"main"});
  EXPECT_EQ(meant_by("shop::Cart::add", shop()), (Texts{"_ZN4shop4Cart3addEi", "_ZN4shop4Cart3addEd"}));
  EXPECT_EQ(meant_by("shop::Cart::add( int )", shop()), Texts{"_ZN4shop4Cart3addEi"});
  EXPECT_EQ(meant_by("shop::Cart::operator+=", shop()), Texts{"_ZN4shop4CartpLEi"});
  EXPECT_EQ(meant_by("shop::twice", shop()), Texts{"_ZN4shop5twiceIiEET_S1_"});
  EXPECT_EQ(meant_by("shop::twice<int>", shop()), Texts{"_ZN4shop5twiceIiEET_S1_"});
  EXPECT_EQ(meant_by("int shop::twice<int>(int)", shop()), Texts{"_ZN4shop5twiceIiEET_S1_"});
  EXPECT_EQ(meant_by("::shop::twice", shop()), Texts{"_ZN4shop5twiceIiEET_S1_"});
  EXPECT_EQ(meant_by("test.foo", shop()), Texts{"_D4test3fooFiZi"});
  EXPECT_EQ(meant_by("(anonymous namespace)::helper", shop()), Texts{"_ZN12_GLOBAL__N_16helperEi"});
  EXPECT_EQ(meant_by("core::fmt::write", shop()), Texts{"_ZN4core3fmt5write17h0123456789abcdefE"});
  EXPECT_EQ(meant_by("123foo::bar", shop()), Texts{"_RNvC6_123foo3bar"});
  EXPECT_EQ(meant_by("-[Cart add:to:]", shop()), Texts{"-[Cart add:to:]"});
  EXPECT_EQ(meant_by("a+1", shop()), Texts{"a+1"});
}

TEST(FunctionNames, MeanTheEndOfAQualifiedName) {
  EXPECT_EQ(meant_by("Cart::add", shop()), (Texts{"_ZN4shop4Cart3addEi", "_ZN4shop4Cart3addEd"}));
  EXPECT_EQ(meant_by("helper", shop()), Texts{"_ZN12_GLOBAL__N_16helperEi"});
  EXPECT_EQ(meant_by("art::add", shop()), Texts{});
}

TEST(FunctionNames, OfAPartThatTheCompilerSplitOffAreWholeOnes) {
  EXPECT_EQ(meant_by("foo", shop()), Texts{});
  EXPECT_EQ(meant_by("_Z3fooi.cold", shop()), Texts{"_Z3fooi.cold"});
  EXPECT_EQ(meant_by("foo(int) [clone .cold]", shop()), Texts{"_Z3fooi.cold"});
}

TEST(FunctionNames, MeanAllVersionsOrOne) {
  EXPECT_EQ(meant_by("memcpy", shop()), (Texts{"memcpy@GLIBC_2.2.5", "memcpy@GLIBC_2.14"}));
  EXPECT_EQ(meant_by("memcpy@GLIBC_2.14", shop()), Texts{"memcpy@GLIBC_2.14"});
  EXPECT_EQ(meant_by("memcpy@@GLIBC_2.2.5+4", shop()), Texts{"memcpy@GLIBC_2.2.5"});
  EXPECT_EQ(meant_by("\"memcpy@GLIBC_2.14\"", shop()), Texts{"memcpy@GLIBC_2.14"});
  EXPECT_EQ(meant_by("memcpy@NONE", shop()), Texts{});
}

TEST(FunctionNames, MeanPatterns) {
  EXPECT_EQ(meant_by("inf*", shop()), (Texts{"inflate", "inflateEnd"}));
  EXPECT_EQ(meant_by("shop::Cart::*", shop()),
            (Texts{"_ZN4shop4Cart3addEi", "_ZN4shop4Cart3addEd", "_ZN4shop4CartpLEi"}));
  EXPECT_EQ(meant_by("*", shop()).size(), shop().size());
  EXPECT_EQ(meant_by("\"inf*\"", shop()), Texts{});
}

TEST(Suggestions, AreNamesThatHoldItOrDifferInTwoLetters) {
  ElfImage image;
  image.symbols = shop();
  const LoadedObject object{
      .path = "/shop", .device = 0, .inode = 0, .image = std::make_shared<const ElfImage>(image), .bias = 0};
  const LoadedObject* const objects[] = {&object};
  EXPECT_EQ(similar_names("inflat", objects), (Texts{"inflate", "inflateEnd"}));
  EXPECT_EQ(similar_names("mian", objects), Texts{"main"});
  EXPECT_EQ(similar_names("Helper", objects), Texts{"(anonymous namespace)::helper(int)"});
  EXPECT_EQ(similar_names("nothing_like_it", objects), Texts{});
  EXPECT_EQ(similar_names("a", objects, 2).size(), 2U);
}

TEST(DemangledNames, LoseSpacesThatNeedNotBeThere) {
  EXPECT_EQ(without_spaces("std::vector<int, long > const & "), "std::vector<int,long>const&");
  EXPECT_EQ(without_spaces("unsigned   int"), "unsigned int");
  EXPECT_EQ(demangled_forms("_ZNSt3mapIilSt4lessIiESaISt4pairIKilEEEixERS3_").at(2), "std::map::operator[]");
  EXPECT_EQ(demangled_forms("_ZlsRSoRK3Foo").at(2), "operator<<");
  EXPECT_EQ(demangled_forms("_Z4takeNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE").at(3),
            "take(std::string)");
  EXPECT_EQ(demangled_forms("main"), Texts{});
}

TEST(DemangledNames, OfRustAreAlsoWrittenPlainly) {
  EXPECT_EQ(demangled_forms("_RNvMNtCs6xxl1lAjzDf_1a4shopINtB2_4CartlE3add"),
            (Texts{"<a::shop::Cart<i32>>::add", "<a::shop::Cart<i32>>::add", "a::shop::Cart<i32>::add",
                   "a::shop::Cart::add", "<a::shop::Cart<i32>>::add"}));
  EXPECT_EQ(demangled_forms("_RINvNtCs6xxl1lAjzDf_1a4shop5twicelEB4_").at(3), "a::shop::twice");
  const Texts of_trait = demangled_forms("_RNvXs_NtCs6xxl1lAjzDf_1a4shopINtB4_4CartlENtB4_3Sum3sum");
  EXPECT_EQ(of_trait.front(), "<a::shop::Cart<i32>as a::shop::Sum>::sum");
}

} // namespace proberace
