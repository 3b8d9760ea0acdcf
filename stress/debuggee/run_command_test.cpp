// proberace run on programs that know nothing of it: an unmodified Python, whose calls of os.getppid are
// calls of libc's getppid, one each, so that a script's count is known.
#include "harness/base/address_space.h"
#include "harness/base/shell.h"
#include "harness/cell/verdict.h"
#include "harness/ptrace/proc_status.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace proberace {

namespace {

constexpr char kPython[] = "/usr/bin/python3";
constexpr char kProbe[] = "--probe libc.so.6:getppid";
constexpr char kTraced[] = "ptrace:stop-world+xol-vma";

// Four threads, 100 to 400 calls; ten short-lived ones, 10 calls each; ten calls of the first thread.
constexpr char kThreadsScript[] = R"(
import os, threading
def call(n):
    for _ in range(n): os.getppid()
def all(sizes):
    threads = [threading.Thread(target=call, args=(n,)) for n in sizes]
    for t in threads: t.start()
    for t in threads: t.join()
all([100, 200, 300, 400]); all([10] * 10); call(10)
print('right', flush=True)
)";
constexpr int kThreadsScriptCalls = 1000 + 100 + 10;

class RunCommand : public testing::Test {
protected:
  void SetUp() override {
    if (!std::filesystem::exists(kPython))
      GTEST_SKIP() << kPython << " is not there";
    directory_ = fmt::format("/tmp/proberace-run-{}", ::getpid());
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }

  // Runs the script probed; its own output goes to `out`. `status`: how it ends, and so must run.
  Json run_script(const std::string& strategy, const std::string& script, std::string& out,
                  int status = 0) const {
    const std::string report = directory_ + "/report.json";
    const Outcome o = run_proberace(fmt::format("run --strategy {} {} --json --out {} -- {} {}", strategy,
                                                kProbe, report, kPython, write("script.py", script)));
    EXPECT_EQ(o.status, status) << o.out;
    out = o.out;
    return o.status == status ? Json::parse(std::ifstream(report)) : Json{};
  }

  std::string directory_;
};

std::vector<std::uint64_t> sorted_counts(const Json& site) {
  std::vector<std::uint64_t> counts;
  for (const auto& [thread, n] : site["threads"].items())
    counts.push_back(n);
  std::sort(counts.begin(), counts.end());
  return counts;
}

// A script that runs on its own, on three threads, until it is told to end, and then says whether its work
// was right.
constexpr char kLong[] = R"(
import hashlib, os, sys, threading
end = threading.Event()
expected = hashlib.sha256(b'x' * 4096).hexdigest()
right = [True] * 3
def work(i):
    while not end.is_set():
        os.getppid()
        right[i] = right[i] and hashlib.sha256(b'x' * 4096).hexdigest() == expected
threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
for t in threads: t.start()
print('begun', flush=True)
sys.stdin.readline()
end.set()
for t in threads: t.join()
print('right' if all(right) else 'wrong', flush=True)
)";

// The long script as a process with its standard input and output on pipes.
class LongScript {
public:
  explicit LongScript(const std::string& path) {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0)
      std::abort();
    process = ::fork();
    if (process == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execl(kPython, kPython, path.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    in_ = in[1];
    out_ = ::fdopen(out[0], "r");
    EXPECT_EQ(line(), "begun");
  }
  ~LongScript() {
    ::close(in_);
    std::fclose(out_);
  }

  std::string line() {
    char text[256] = {};
    if (std::fgets(text, sizeof text, out_) == nullptr)
      return {};
    std::string s = text;
    return s.substr(0, s.find('\n'));
  }
  int finish() {
    (void)!::write(in_, "\n", 1);
    last = line();
    int status = 0;
    ::waitpid(process, &status, 0);
    return status;
  }

  pid_t process = 0;
  std::string last;

private:
  int in_ = -1;
  std::FILE* out_ = nullptr;
};

// Executable mappings with their bytes.
std::vector<std::pair<Mapping, std::string>> code_of(pid_t process) {
  std::vector<std::pair<Mapping, std::string>> code;
  std::ifstream memory(fmt::format("/proc/{}/mem", process), std::ios::binary);
  const AddressSpace space = AddressSpace::read(process);
  for (const Mapping& m : space.mappings()) {
    if (!m.executable || m.path == "[vsyscall]")
      continue;
    std::string bytes(m.bytes(), '\0');
    memory.seekg(static_cast<std::streamoff>(value(m.start)));
    memory.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    code.emplace_back(m, std::move(bytes));
  }
  return code;
}

} // namespace

TEST_F(RunCommand, CountsAThreadedPythonExactlyAsTheKernelDoes) {
  std::string out;
  const Json own = run_script(kTraced, kThreadsScript, out);
  EXPECT_EQ(out, "right\n");
  ASSERT_EQ(own["sites"][0]["hits"], kThreadsScriptCalls);
  EXPECT_EQ(own["exit_status"], 0);
  const std::vector<std::uint64_t> expected{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 100, 200, 300, 400};
  const auto counts = sorted_counts(own["sites"][0]);
  EXPECT_EQ(counts, expected) << own.dump(1);
  if (::geteuid() != 0)
    GTEST_SKIP() << "kernel uprobes need root";
  const Json peer = run_script("kernel-uprobe", kThreadsScript, out);
  EXPECT_EQ(out, "right\n");
  EXPECT_EQ(peer["sites"][0]["hits"], own["sites"][0]["hits"]);
  EXPECT_EQ(sorted_counts(peer["sites"][0]), counts);
}

TEST_F(RunCommand, H16_StoppedByAnySignalItLeavesTheProgramAsItWas) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGALRM}) {
    LongScript script(write("long.py", kLong));
    const auto before = code_of(script.process);
    const std::string report = directory_ + "/report.json";
    const pid_t prober = ::fork();
    if (prober == 0) {
      const std::string pid = std::to_string(script.process);
      ::execl(PROBERACE_PROGRAM, "proberace", "run", "--strategy", kTraced, "--probe", "libc.so.6:getppid",
              "--pid", pid.c_str(), "--json", "--out", report.c_str(), nullptr);
      ::_exit(127);
    }
    while (code_of(script.process) == before) // until it is armed
      ::usleep(2000);
    ::usleep(50'000); // of hits
    ::kill(prober, signal);
    int status = 0;
    ::waitpid(prober, &status, 0);
    EXPECT_EQ(status, 0) << signal;
    EXPECT_EQ(tracer_of(script.process), 0);
    EXPECT_TRUE(code_of(script.process) == before)
        << "bytes or mappings are not what they were, signal " << signal;
    const Json counts = Json::parse(std::ifstream(report));
    EXPECT_TRUE(counts["runs_on"]);
    EXPECT_GT(counts["sites"][0]["hits"], 0);
    EXPECT_FALSE(counts["sites"][0]["threads"].empty());
    EXPECT_EQ(script.finish(), 0);
    EXPECT_EQ(script.last, "right");
  }
}

// Forked children and programs they execute: their hits are not the parent's, and they run on unprobed.
TEST_F(RunCommand, H27_H72_ForkedChildrenRunOnUncounted) {
  std::string out;
  const Json own = run_script(kTraced, R"(
import os, subprocess, threading
for _ in range(50): os.getppid()
def fork():
    for _ in range(20):
        child = os.fork()
        if child == 0:
            for _ in range(100): os.getppid()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
other = threading.Thread(target=fork)
other.start()
for _ in range(50): os.getppid()
other.join()
assert subprocess.run(['/bin/sh', '-c', 'echo spawned'], check=True, capture_output=True).stdout == b'spawned\n'
for _ in range(50): os.getppid()
print('right', flush=True)
)",
                              out);
  EXPECT_EQ(out, "right\n");
  EXPECT_EQ(own["sites"][0]["hits"], 150);
}

// The program is probed and left again and again while it runs for four seconds. Its wait status.
class LeftOften {
public:
  LeftOften(const std::string& directory, const std::string& name, const std::string& strategy) {
    const std::string program = directory + "/" + name;
    const Outcome built = run_shell(
        fmt::format("gcc -O1 -pthread {}/stress/programs/{}.c -o {} 2>&1", PROBERACE_SOURCE, name, program));
    EXPECT_EQ(built.status, 0) << built.out;
    const std::string said = program + ".out";
    const pid_t process = ::fork();
    if (process == 0) {
      ::dup2(::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
      ::execl(program.c_str(), program.c_str(), "4000", nullptr);
      ::_exit(127);
    }
    for (; ::waitpid(process, &status, WNOHANG) == 0; ++times) {
      const Outcome o = run_shell(fmt::format(
          "timeout -s INT --kill-after 20 0.2 {} run --strategy '{}' --probe {}:work --pid {} 2>&1",
          PROBERACE_PROGRAM, strategy, name, process));
      if (o.status != 124) // how timeout says that the signal was sent
        last_words = o.out;
    }
    std::getline(std::ifstream(said), out);
  }

  int status = 0;
  int times = 0;
  std::string out;        // of the program
  std::string last_words; // of run, if it ended by itself
};

TEST_F(RunCommand, H81_AProgramIsUnharmedHoweverOftenItIsLeft) {
  for (const char* const strategy :
       {"ptrace:poke+xol-boost", "ptrace:stop-world+xol-vma", "ptrace:poke+emulate|xol-boost|xol-vma"}) {
    const LeftOften program(directory_, "busy", strategy);
    EXPECT_EQ(program.status, 0) << strategy << ", left " << program.times << " times; "
                                 << program.last_words;
    EXPECT_EQ(program.out, "right") << strategy;
    EXPECT_GE(program.times, 5) << strategy;
  }
}

// The filter still kills the program for a call of its own.
TEST_F(RunCommand, H85_AFilterDoesNotSeeCallsInTheProgramsName) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "suspending a seccomp filter needs CAP_SYS_ADMIN";
  for (const char* const strategy : {"ptrace:poke+xol-boost", "ptrace:stop-world+xol-vma"}) {
    const LeftOften program(directory_, "filtered", strategy);
    EXPECT_TRUE(WIFSIGNALED(program.status) && WTERMSIG(program.status) == SIGSYS)
        << strategy << ": " << program.status << ", left " << program.times << " times; "
        << program.last_words;
    EXPECT_EQ(program.out, "right") << strategy;
    EXPECT_GE(program.times, 5) << strategy;
  }
}

TEST_F(RunCommand, AnExecTakesTheProbesAwayAndIsSaid) {
  std::string out;
  const Json own = run_script(kTraced,
                              fmt::format(R"(
import os, threading
for _ in range(5): os.getppid()
def leave(): os.execv('{0}', ['{0}', '-c', 'import os; [os.getppid() for _ in range(9)]; print("other")'])
threading.Thread(target=leave).start()
threading.Event().wait()
)",
                                          kPython),
                              out);
  EXPECT_EQ(out, "other\n");
  EXPECT_EQ(own["execs"], 1);
  EXPECT_EQ(own["sites"][0]["hits"], 5);
  EXPECT_EQ(own["exit_status"], 0);
}

TEST_F(RunCommand, TheProgramsOwnEndIsReported) {
  std::string out;
  EXPECT_EQ(run_script(kTraced, "import sys; sys.exit(5)", out, 5)["exit_status"], 5);
  EXPECT_EQ(run_script(kTraced, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", out,
                       128 + SIGTERM)["killed_by"],
            "SIGTERM");
}

TEST_F(RunCommand, WhatCannotBeProbedIsOneLineAndStatus2) {
  const auto expect = [](const std::string& arguments, const std::string& words) {
    const Outcome o = run_proberace("run " + arguments);
    EXPECT_EQ(o.status, 2) << arguments << "\n" << o.out;
    EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '\n'), 1) << o.out;
    EXPECT_NE(o.out.find(words), std::string::npos) << o.out;
  };
  const std::string traced = fmt::format("--strategy {} ", kTraced);
  expect(traced + kProbe, "needs either a program after --");
  expect(traced + kProbe + " --pid 999999999", "there is no process");
  expect(traced + kProbe + " -- /no/such/program", "cannot execute the program");
  expect(traced + kProbe + " /bin/true", "put -- before the program");
  expect(traced + kProbe + " --out / -- /bin/true", "it is a folder");
  expect(traced + "--probe libc.so.6: -- /bin/true", "[OBJECT:]FUNCTION[@VERSION][+OFFSET]");
  expect(traced + "-- /bin/true", "nothing to probe");
  expect(traced + "--probe libc.so.6:nosuch -- /bin/true", "has no function 'nosuch'");
  expect(traced + "--probe libnosuch.so:f -- /bin/true", "no loaded object is called 'libnosuch.so'");
  expect(traced + "--probe libc.so.6:getppid+1 -- /bin/true", "libc.so.6:getppid+0x1: no instruction");
  expect(std::string("--strategy poke+xol-vma ") + kProbe + " -- /bin/true", "inside the program only");
  expect(std::string("--strategy ptrace:pte-swap+xol-vma ") + kProbe + " -- /bin/true", "cannot work with");
}

} // namespace proberace
