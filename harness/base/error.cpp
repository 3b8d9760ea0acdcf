#include "harness/base/error.h"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace proberace {

std::string describe(const Error& error) {
  if (error.address == Address{})
    return fmt::format("{}: {}", name(error.kind), error.message);
  return fmt::format("{:#x}: {}: {}", value(error.address), name(error.kind), error.message);
}

Error system_error(std::string_view what, int error_number, Address address) {
  const bool denied = error_number == EPERM || error_number == EACCES;
  return Error{denied ? ErrorKind::NoPermission : ErrorKind::System, address,
               fmt::format("{}: {}", what, std::generic_category().message(error_number))};
}

} // namespace proberace
