#include "harness/base/read_file.h"

#include "harness/base/failure.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace proberace {

std::expected<std::string, Error> read_file(const std::string& path) {
  const bool standard = path == "-";
  const int file = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  char chunk[65536];
  ssize_t n = file;
  while (file >= 0 && ((n = ::read(file, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
    text.append(chunk, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  const int error = errno;
  if (!standard && file >= 0)
    ::close(file);
  if (n < 0)
    return bad_input("{}: cannot be read: {}", standard ? "standard input" : path, std::strerror(error));
  return text;
}

} // namespace proberace
