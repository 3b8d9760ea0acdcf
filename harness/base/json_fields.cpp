#include "harness/base/json_fields.h"

#include <fmt/ranges.h>

namespace proberace::fields_detail {

std::string shown(const Json& json) {
  constexpr std::size_t kMost = 60;
  std::string text = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMost)
    text.replace(kMost, std::string::npos, "...");
  return text;
}

std::string quoted_list(const std::vector<std::string_view>& names) {
  return fmt::format("'{}'", fmt::join(names, "', '"));
}

Error error_of(const Refusal& refusal) {
  // "is missing" and "is unknown" continue the sentence.
  const bool continues = refusal.words.starts_with("is ");
  return Error{ErrorKind::BadInput,
               {},
               refusal.path.empty()
                   ? refusal.words
                   : fmt::format("field '{}'{} {}", refusal.path, continues ? "" : ":", refusal.words)};
}

} // namespace proberace::fields_detail
