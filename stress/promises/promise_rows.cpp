#include "stress/promises/promise_rows.h"

#include "stress/promises/promise_matrix.h"

namespace proberace {

std::vector<VerdictRow> promise_rows(const std::vector<std::string>& strategies,
                                     const std::function<void(const std::string&)>& progress) {
  std::vector<VerdictRow> rows;
  for (const std::string& strategy : strategies)
    for (const PromiseText& text : kPromises) {
      progress(strategy + ": " + std::string(text.name));
      const PromiseRow row = try_promise(strategy, text.value);
      rows.push_back({"promises", std::string(text.name), strategy, row.verdict, row.observed, row.reason});
    }
  return rows;
}

} // namespace proberace
