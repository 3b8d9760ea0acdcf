// Aligned columns for people.
#pragma once

#include <string>
#include <vector>

namespace proberace {

class Table {
public:
  // `right_aligned[i]` for columns of numbers; missing ones are left-aligned.
  explicit Table(std::vector<std::string> header, std::vector<bool> right_aligned = {});
  void add(std::vector<std::string> row);
  // With a line under the header; no trailing spaces.
  std::string text() const;

private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> right_aligned_;
};

} // namespace proberace
