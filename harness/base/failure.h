// Makes the errors that functions of type std::expected return.
//
//   return failure(ErrorKind::NoRoom, site.address, "no page is free within {} MiB", reach);
//   return bad_input("there is no process {}", process);
//
// The sentence is formatted as by fmt::format.
#pragma once

#include "harness/base/error.h"

#include <fmt/core.h>

namespace proberace {

Error make_error(ErrorKind kind, Address at, fmt::string_view words, fmt::format_args arguments);

template <typename... Arguments>
std::unexpected<Error> failure(ErrorKind kind, Address at, fmt::format_string<Arguments...> words,
                               Arguments&&... arguments) {
  return std::unexpected(make_error(kind, at, words, fmt::make_format_args(arguments...)));
}
// The same where no address is concerned.
template <typename... Arguments>
std::unexpected<Error> failure(ErrorKind kind, fmt::format_string<Arguments...> words,
                               Arguments&&... arguments) {
  return std::unexpected(make_error(kind, {}, words, fmt::make_format_args(arguments...)));
}

template <typename... Arguments>
std::unexpected<Error> bad_input(fmt::format_string<Arguments...> words, Arguments&&... arguments) {
  return std::unexpected(make_error(ErrorKind::BadInput, {}, words, fmt::make_format_args(arguments...)));
}
template <typename... Arguments>
std::unexpected<Error> machine_lacks(fmt::format_string<Arguments...> words, Arguments&&... arguments) {
  return std::unexpected(make_error(ErrorKind::MachineLacks, {}, words, fmt::make_format_args(arguments...)));
}

} // namespace proberace
