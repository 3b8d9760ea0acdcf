#include "harness/cell/verdict.h"

#include "harness/base/json_fields.h"

namespace proberace {

Json to_json(const Verdict& verdict) {
  return write_fields(verdict);
}

std::expected<Verdict, Error> verdict_from(const Json& json) {
  return read_fields<Verdict>(json);
}

} // namespace proberace
