#include "harness/result/summary.h"

#include "harness/base/json_fields.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

namespace {

// The file: rows of two kinds, of which those of verdicts have a "verdict".
struct SummaryFile {
  std::vector<Json> rows;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/summary/1"});
    field("rows", self.rows);
  }
};

template <class Row> Status read_row(const Json& json, std::size_t number, std::vector<Row>& rows) {
  auto row = read_fields<Row>(json);
  if (!row)
    return std::unexpected(
        Error{ErrorKind::BadInput, {}, fmt::format("row {}: {}", number, row.error().message)});
  rows.push_back(std::move(*row));
  return {};
}

const MeasuredRow* find(const Summary& summary, const MeasuredRow& like, std::string_view strategy) {
  const auto it = std::find_if(summary.measured.begin(), summary.measured.end(), [&](const MeasuredRow& r) {
    return r.suite == like.suite && r.case_name == like.case_name && r.threads == like.threads &&
           r.plan == like.plan && r.metric == like.metric && r.strategy == strategy;
  });
  return it != summary.measured.end() ? &*it : nullptr;
}

} // namespace

Json to_json(const Summary& summary) {
  SummaryFile file;
  for (const MeasuredRow& row : summary.measured)
    file.rows.push_back(write_fields(row));
  for (const VerdictRow& row : summary.verdicts)
    file.rows.push_back(write_fields(row));
  return write_fields(file);
}

std::expected<Summary, Error> summary_from(const Json& json) {
  const auto file = read_fields<SummaryFile>(json);
  if (!file)
    return std::unexpected(file.error());
  Summary summary;
  for (std::size_t i = 0; i < file->rows.size(); ++i) {
    const Json& row = file->rows[i];
    const Status read = row.is_object() && row.contains("verdict") ? read_row(row, i, summary.verdicts)
                                                                   : read_row(row, i, summary.measured);
    if (!read)
      return std::unexpected(read.error());
  }
  return summary;
}

void fill_ratios(Summary& summary, const std::string& peer) {
  const auto trap = std::find_if(summary.measured.begin(), summary.measured.end(), [](const MeasuredRow& r) {
    return r.suite == "floors" && r.case_name == "trap" && r.unit == "ns";
  });
  for (MeasuredRow& row : summary.measured) {
    if (row.unit != "ns")
      continue;
    if (trap != summary.measured.end() && trap->median > 0)
      row.trap_ratio = row.median / trap->median;
    const MeasuredRow* same = find(summary, row, peer);
    if (same != nullptr && same->median > 0)
      row.uprobe_ratio = row.median / same->median;
  }
}

} // namespace proberace
