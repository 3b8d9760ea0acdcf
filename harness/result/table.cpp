#include "harness/result/table.h"

#include <algorithm>
#include <fmt/format.h>

namespace proberace {

Table::Table(std::vector<std::string> header, std::vector<bool> right_aligned)
    : rows_{std::move(header)}, right_aligned_(std::move(right_aligned)) {}

void Table::add(std::vector<std::string> row) {
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows_[r].size(); ++i) {
      const bool right = i < right_aligned_.size() && right_aligned_[i];
      line += right ? fmt::format("{:>{}}  ", rows_[r][i], widths[i])
                    : fmt::format("{:<{}}  ", rows_[r][i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (r == 0) {
      std::size_t total = 0;
      for (const std::size_t w : widths)
        total += w + 2;
      out += std::string(total - 2, '-') + "\n";
    }
  }
  return out;
}

} // namespace proberace
