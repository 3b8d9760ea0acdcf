#include "harness/base/failure.h"

#include <fmt/format.h>

namespace proberace {

Error make_error(ErrorKind kind, Address at, fmt::string_view words, fmt::format_args arguments) {
  return Error{kind, at, fmt::vformat(words, arguments)};
}

} // namespace proberace
