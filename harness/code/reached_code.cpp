#include "harness/code/reached_code.h"

#include "harness/code/decode.h"
#include "harness/code/elf_tables.h"
#include "harness/code/jump_tables.h"
#include "harness/code/zydis_decoder.h"

#include <algorithm>
#include <map>
#include <sys/mman.h>

namespace proberace {

class Descent {
public:
  Descent(const Bytes& file, const ElfImage& image, ReachedCode& reached)
      : file_(file), image_(image), reached_(reached) {
    for (const ElfFunction& f : image.functions)
      if (!f.guessed_end)
        ends_.push_back({f.start, f.start + f.bytes});
  }

  void run() {
    for (const Range& f : ends_)
      to_visit_.push_back(f.start);
    for (const std::uint64_t entry : image_.entries)
      if (function_at(entry)) // not a constant that lies beside the code
        to_visit_.push_back(entry);
    while (!to_visit_.empty()) {
      const std::uint64_t at = to_visit_.back();
      to_visit_.pop_back();
      walk(at);
      // A table is looked for when all that leads to its jump has been seen.
      if (!to_visit_.empty())
        continue;
      std::ranges::sort(named_);
      for (const std::uint64_t jump : std::exchange(indirect_, {}))
        follow_table(jump);
    }
  }

private:
  struct Range {
    std::uint64_t start, end;
  };

  ReachedCode::Area* area_of(std::uint64_t at) const {
    for (ReachedCode::Area& area : reached_.areas_)
      if (area.start <= at && at - area.start < area.begins.size())
        return &area;
    return nullptr;
  }

  // The bytes from there to the end of the segment's part in the file, at most `most`.
  std::span<const std::uint8_t> bytes_at(std::uint64_t at, std::size_t most) const {
    const ElfSegment* const s = image_.segment_of(at);
    return s == nullptr ? std::span<const std::uint8_t>{}
                        : file_.part(s->file_offset + (at - s->address),
                                     std::min<std::uint64_t>(most, s->file_bytes - (at - s->address)));
  }

  // Marks instructions from there on, until control leaves or reaches what is marked.
  void walk(std::uint64_t at) {
    ReachedCode::Area* const area = area_of(at);
    if (area == nullptr)
      return;
    ZydisDecodedInstruction raw;
    for (std::size_t i = at - area->start; i < area->begins.size() && !area->begins[i]; i += raw.length) {
      const std::uint64_t here = area->start + i;
      const auto bytes = bytes_at(here, kMaxInstructionBytes);
      if (!ZYAN_SUCCESS(
              ZydisDecoderDecodeInstruction(&zydis_decoder(), nullptr, bytes.data(), bytes.size(), &raw)))
        return;
      area->begins[i] = true;
      for (std::size_t b = 1; b < raw.length && i + b < area->inside.size(); ++b)
        area->inside[i + b] = true;
      if ((raw.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0 && raw.raw.imm[0].is_relative)
        to_visit_.push_back(here + raw.length + static_cast<std::uint64_t>(raw.raw.imm[0].value.s));
      else if (raw.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
        indirect_.push_back(here);
      constexpr std::uint8_t kRipRelative = 5; // with mod 0
      if (raw.mnemonic == ZYDIS_MNEMONIC_LEA && raw.raw.modrm.mod == 0 && raw.raw.modrm.rm == kRipRelative)
        named_.push_back(here + raw.length + static_cast<std::uint64_t>(raw.raw.disp.value));
      if (ends(raw))
        return;
    }
  }

  static bool ends(const ZydisDecodedInstruction& raw) {
    return raw.meta.category == ZYDIS_CATEGORY_UNCOND_BR || raw.meta.category == ZYDIS_CATEGORY_RET ||
           raw.mnemonic == ZYDIS_MNEMONIC_UD0 || raw.mnemonic == ZYDIS_MNEMONIC_UD1 ||
           raw.mnemonic == ZYDIS_MNEMONIC_UD2 || raw.mnemonic == ZYDIS_MNEMONIC_HLT;
  }

  // The function around an address, the innermost of some that nest.
  std::optional<Range> function_at(std::uint64_t at) const {
    auto it = std::ranges::upper_bound(ends_, at, {}, &Range::start);
    for (int steps = 0; it != ends_.begin() && steps < 16; ++steps)
      if (--it; at < it->end)
        return *it;
    return std::nullopt;
  }

  void follow_table(std::uint64_t jump) {
    constexpr std::size_t kLookBack = 200; // instructions
    const auto function = function_at(jump);
    ReachedCode::Area* const area = area_of(jump);
    if (!function || area == nullptr)
      return;
    std::vector<CodeBytes> before;
    std::uint64_t at = jump;
    for (;; --at) {
      if (begins(at))
        before.push_back({at, bytes_at(at, kMaxInstructionBytes)});
      if (at <= std::max(function->start, area->start) || before.size() == kLookBack)
        break;
    }
    std::ranges::reverse(before);
    for (const JumpTable& table : possible_tables(before))
      if (follow(table, *function))
        return;
  }

  // Where the table is seen to end: at the next address that code names, or by the comparison before its jump,
  // which may be another's. A table of addresses ends by itself.
  std::size_t most_entries(const JumpTable& table) const {
    constexpr std::size_t kMost = 4096;
    if (table.entry_bytes == 8)
      return kMost;
    const auto next = std::ranges::upper_bound(named_, table.address);
    const std::size_t room = next == named_.end() ? kMost : (*next - table.address) / table.entry_bytes;
    return std::min({kMost, room, table.entries.value_or(kMost)});
  }

  // False if it is no table. The entries up to the first that leads to no instruction are taken.
  bool follow(const JumpTable& table, const Range& function) {
    const bool in_code = function_at(table.address).has_value();
    if (in_code && !table.entries)
      return false; // what is named is likelier code
    std::vector<std::uint64_t> targets;
    std::uint64_t end = ~std::uint64_t{0}; // of a table in code: its first target behind it
    const std::size_t most = most_entries(table);
    while (targets.size() < most) {
      const std::uint64_t at = table.address + targets.size() * table.entry_bytes;
      const Bytes entry(bytes_at(at, table.entry_bytes));
      if (entry.size() < table.entry_bytes || at >= end || begins(at))
        break;
      const std::uint64_t target =
          table.entry_bytes == 8
              ? entry.at<std::uint64_t>(0)
              : table.base + static_cast<std::uint64_t>(std::int64_t{entry.at<std::int32_t>(0)});
      const bool sure = table.entry_bytes == 8 || table.entries;
      if (!(function.start <= target && target < function.end) && !(sure && function_at(target)))
        break;
      if (in_code ? is_inside(target) : !sweep_meets(target))
        break;
      if (target > table.address)
        end = std::min(end, target);
      targets.push_back(target);
    }
    if (targets.empty())
      return false;
    to_visit_.insert(to_visit_.end(), targets.begin(), targets.end());
    return true;
  }

  bool begins(std::uint64_t at) const {
    const ReachedCode::Area* const area = area_of(at);
    return area != nullptr && area->begins[at - area->start];
  }
  // In the middle of an instruction.
  bool is_inside(std::uint64_t at) const {
    const ReachedCode::Area* const area = area_of(at);
    return area == nullptr || (area->inside[at - area->start] && !area->begins[at - area->start]);
  }
  // Decoding the function from its beginning finds an instruction there. It does where there is no data before
  // it, and a table that was read wrongly leads elsewhere as often as not.
  bool sweep_meets(std::uint64_t at) {
    const auto function = function_at(at);
    if (!function)
      return false;
    const auto [it, fresh] = sweeps_.try_emplace(function->start);
    if (fresh)
      it->second = instruction_boundaries(bytes_at(function->start, function->end - function->start));
    const std::size_t i = at - function->start;
    return i < it->second.size() && it->second[i];
  }

  const Bytes& file_;
  const ElfImage& image_;
  ReachedCode& reached_;
  std::vector<Range> ends_;                           // of functions whose end is known, by start
  std::vector<std::uint64_t> to_visit_;               // the last first
  std::vector<std::uint64_t> indirect_;               // jumps whose table has not been looked for
  std::map<std::uint64_t, std::vector<bool>> sweeps_; // of functions that tables lead into
  std::vector<std::uint64_t> named_; // addresses that code loads; sorted while tables are followed
};

ReachedCode::ReachedCode(std::span<const std::uint8_t> content, const ElfImage& image) {
  const Bytes file(content);
  for (const ElfSegment& s : image.segments)
    if ((s.protection & PROT_EXEC) != 0 && s.file_offset <= content.size()) {
      const std::size_t bytes = std::min<std::uint64_t>(s.file_bytes, content.size() - s.file_offset);
      areas_.push_back({s.address, std::vector<bool>(bytes), std::vector<bool>(bytes)});
    }
  Descent(file, image, *this).run();
}

bool ReachedCode::begins_at(std::uint64_t address) const {
  for (const Area& area : areas_)
    if (area.start <= address && address - area.start < area.begins.size())
      return area.begins[address - area.start] && !area.inside[address - area.start];
  return false;
}

} // namespace proberace
