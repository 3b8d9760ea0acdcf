#include "harness/cell/verdict.h"

namespace proberace {

Json to_json(const Verdict& verdict) {
  return Json{{"ending", name(verdict.ending)},
              {"property", verdict.property},
              {"summary", verdict.summary},
              {"evidence", verdict.evidence},
              {"data", verdict.data}};
}

} // namespace proberace
