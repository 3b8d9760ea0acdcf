// Counts by value in buckets whose width grows with the value, so that any percentile is right within 1/32 of
// itself (the layout of HdrHistogram, hdrhistogram.org). Fixed size: adding allocates nothing.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace proberace {

class Histogram {
public:
  void add(std::uint64_t value) noexcept {
    ++buckets_[index(value)];
    ++count_;
  }
  std::uint64_t count() const noexcept { return count_; }

  // The smallest value v such that at least `share` of the values are <= v, to the bucket's upper bound. 0 if
  // empty.
  std::uint64_t percentile(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(std::llround(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted && seen != 0)
        return upper_bound(i);
    }
    return 0;
  }

private:
  static constexpr unsigned kPrecisionBits = 5; // 32 buckets for each power of two
  static constexpr std::uint64_t kExact = std::uint64_t{1} << kPrecisionBits;

  static constexpr std::size_t index(std::uint64_t value) noexcept {
    if (value < kExact)
      return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kPrecisionBits;
    return (static_cast<std::size_t>(shift) << kPrecisionBits) + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t upper_bound(std::size_t i) noexcept {
    if (i < kExact)
      return i;
    const auto shift = static_cast<unsigned>(i >> kPrecisionBits) - 1;
    const std::uint64_t leading = (i & (kExact - 1)) + kExact;
    return ((leading + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - kPrecisionBits + 1) * kExact> buckets_{};
  std::uint64_t count_ = 0;
};

} // namespace proberace
