// A program that makes itself undumpable, probed by a user who is not root: from then on none of its files in /proc can
// be opened.
#include "harness/base/shell.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

namespace fs = std::filesystem;

constexpr char kProgram[] = R"(
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
__attribute__((noinline)) long work(volatile long* p) { return *p += 3; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int main(int c, char** v) {
  long n = 0;
  volatile long x = 0;
  (void)c;
  prctl(PR_SET_DUMPABLE, 0);
  for (double end = now() + atof(v[1]); now() < end; ++n) { work(&x); usleep(200); }
  printf("right %d\n", x == 3 * n);
  return 0;
}
)";

class Undumpable : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("proberace-undumpable-{}", ::getpid());
    fs::create_directories(folder_);
    std::ofstream(folder_ / "u.c") << kProgram;
    fs::copy_file(PROBERACE_PROGRAM, folder_ / "proberace");
    ASSERT_EQ(
        run_shell(fmt::format("cd {0} && gcc -O1 u.c -o u && chmod -R a+rX {0}", folder_.string())).status,
        0);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // As nobody, if this is root.
  Outcome run(const std::string& seconds, const std::string& more) const {
    const char* const nobody = ::geteuid() == 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups " : "";
    return run_shell(fmt::format(
        "cd {} && {}bash -c \"./proberace run --probe u:work --strategy '{}' -- ./u {} & p=\\$!; {} wait "
        "\\$p\" 2>&1",
        folder_.string(), nobody, GetParam(), seconds, more));
  }

  fs::path folder_;
};

} // namespace

TEST_P(Undumpable, H83_IsUnharmed) {
  const Outcome o = run("0.3", "");
  EXPECT_EQ(o.status, 0) << o.out;
  EXPECT_NE(o.out.find("right 1"), std::string::npos) << o.out;
}

// It said that the program runs on, and left int3s in it.
TEST_P(Undumpable, H83_IsLeftWithoutProbes) {
  // The program ends after `run` has, and says then that it was right.
  const Outcome o = run("1.5", "sleep 0.5; kill -TERM \\$!; (sleep 1.5) &");
  EXPECT_EQ(o.status, 0) << o.out;
  EXPECT_NE(o.out.find("runs on"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("right 1"), std::string::npos) << o.out;
}

INSTANTIATE_TEST_SUITE_P(Strategies, Undumpable,
                         testing::Values("ptrace:poke+emulate", "ptrace:poke+xol-boost",
                                         "ptrace:stop-world+xol-vma"));

} // namespace proberace
