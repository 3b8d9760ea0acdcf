#include "harness/probe/refuse.h"

#include "harness/base/failure.h"

namespace proberace::refuse {

Refusal not_open() {
  return failure(ErrorKind::NotOpen, "open the prober first");
}

Refusal already_open() {
  return failure(ErrorKind::AlreadyOpen, "this prober is open already");
}

Refusal already_armed(Address site) {
  return failure(ErrorKind::AlreadyArmed, site, "a probe of this prober is here already");
}

Refusal too_many_sites(Address site, std::size_t most) {
  return failure(ErrorKind::NoRoom, site, "a prober holds at most {} sites between open and close", most);
}

Refusal not_taking_effect(Address site, std::string_view written) {
  return failure(ErrorKind::NotTakingEffect, site, "{} was written but is not there", written);
}

Refusal not_armed(Address site) {
  return failure(ErrorKind::NotArmed, site, "no probe of this prober is here");
}

Refusal gone(Address site) {
  return failure(ErrorKind::StaleSite, site, "the page was unmapped or written since: the probe is gone");
}

Refusal still_armed(Address site) {
  return failure(ErrorKind::AlreadyArmed, site, "remove every probe first");
}

} // namespace proberace::refuse
