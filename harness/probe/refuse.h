// The refusals that every prober gives: each sentence stands once.
#pragma once

#include "harness/base/error.h"

#include <cstddef>
#include <string_view>

namespace proberace::refuse {

using Refusal = std::unexpected<Error>;

Refusal not_open();
Refusal already_open();

// Of insert.
Refusal already_armed(Address site);
Refusal too_many_sites(Address site, std::size_t most);
// `written`: "the probe's byte", "the jump". The memory took it and does not hold it (H64).
Refusal not_taking_effect(Address site, std::string_view written = "the probe's byte");

// Of remove.
Refusal not_armed(Address site);
// Other code lies where the probe was (H15).
Refusal gone(Address site);

// Of set_handler, where a site is armed.
Refusal still_armed(Address site);

} // namespace proberace::refuse
