#include "harness/cli/progress.h"

#include <cstdio>
#include <unistd.h>

namespace proberace {

namespace {
constexpr std::chrono::seconds kShownAfter{2};
constexpr std::chrono::milliseconds kShownEvery{100};
constexpr char kClearLine[] = "\r\033[K";
} // namespace

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) != 0), begin_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (shown_)
    std::fputs(kClearLine, stderr);
}

void Progress::show(const std::string& line) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - begin_ < kShownAfter || now - last_ < kShownEvery)
    return;
  last_ = now;
  shown_ = true;
  std::fprintf(stderr, "%s%s", kClearLine, line.c_str());
  std::fflush(stderr);
}

} // namespace proberace
