#include "stress/cli/controlled_build.h"

#include "harness/schedule/scheduler.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

namespace proberace {

Status become_controlled() {
  if (schedule::points_compiled_in())
    return {};
  std::error_code error;
  const auto sibling =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "proberace-controlled";
  // proc(5): the arguments, each ended by a zero byte.
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string words((std::istreambuf_iterator<char>(in)), {});
  std::vector<char*> arguments;
  for (std::size_t at = 0; at < words.size(); at = words.find('\0', at) + 1)
    arguments.push_back(words.data() + at);
  arguments.push_back(nullptr);
  ::execv(sibling.c_str(), arguments.data());
  return std::unexpected(
      Error{ErrorKind::MachineLacks,
            {},
            fmt::format("controlled runs need {}, which cannot be run: build it", sibling.string())});
}

} // namespace proberace
