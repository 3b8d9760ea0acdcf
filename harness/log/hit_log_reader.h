// Reads a hit log, also one whose writer died or that was cut: everything that is whole is read, and what is
// not whole is reported.
#pragma once

#include "harness/base/error.h"
#include "harness/log/hit_record.h"
#include "harness/log/log_pages.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace proberace {

class HitLogReader {
public:
  // BadInput if it is not a hit log.
  static std::expected<HitLogReader, Error> open(const std::string& path);
  HitLogReader(HitLogReader&&) noexcept;
  HitLogReader& operator=(HitLogReader&&) = delete;
  ~HitLogReader();

  // Empty if the log was not closed.
  const std::optional<LogTrailer>& trailer() const noexcept { return trailer_; }
  // Damage to the file itself: where (byte offset) and what.
  const std::vector<std::string>& damage() const noexcept { return damage_; }

  std::size_t threads() const noexcept { return blocks_.size(); }
  // A thread's records, in their order, but for blank ones. Precondition: thread < threads().
  void for_each(std::size_t thread, const std::function<void(const HitRecord&)>& f) const;

  // Nanoseconds since the log began; 0 where no rate is known (not closed).
  double nanoseconds(const HitRecord& record) const noexcept;

private:
  HitLogReader() = default;
  Status index();
  void take_block(std::size_t& at, std::size_t end);
  std::span<const std::byte> bytes_;                            // the file, mapped
  std::vector<std::vector<std::span<const std::byte>>> blocks_; // by thread: records as they lie
  std::optional<LogTrailer> trailer_;
  std::vector<std::string> damage_;
  double ns_per_tick_ = 0;
  std::uint64_t first_tick_ = 0;
};

} // namespace proberace
