#include "harness/cell/verdict.h"

namespace proberace {

std::string_view name(Ending ending) noexcept {
  switch (ending) {
  case Ending::Held: return "held";
  case Ending::Broken: return "broken";
  case Ending::Crashed: return "crashed";
  case Ending::Hung: return "hung";
  case Ending::Refused: return "refused";
  case Ending::Skipped: return "skipped";
  }
  return "?";
}

Json to_json(const Verdict& verdict) {
  return Json{{"ending", name(verdict.ending)},
              {"property", verdict.property},
              {"summary", verdict.summary},
              {"evidence", verdict.evidence},
              {"data", verdict.data}};
}

} // namespace proberace
