// The same, for headers that only name it.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace proberace {

using Json = nlohmann::ordered_json;

} // namespace proberace
