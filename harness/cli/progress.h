// Progress of work that takes more than two seconds: one line on stderr, rewritten, on a terminal only.
#pragma once

#include <chrono>
#include <string>

namespace proberace {

class Progress {
public:
  Progress();
  ~Progress(); // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const std::string& line);

private:
  const bool terminal_;
  const std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point last_{};
  bool shown_ = false;
};

} // namespace proberace
