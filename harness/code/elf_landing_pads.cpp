#include "harness/code/elf_landing_pads.h"

namespace proberace {

std::uint64_t encoded_pointer(const Bytes& file, std::uint64_t& at, std::uint64_t address,
                              std::uint8_t encoding) {
  constexpr std::uint8_t kForm = 0x0F, kApplication = 0x70, kPcRelative = 0x10;
  std::uint64_t result = 0;
  switch (encoding & kForm) {
  case 0x00: // DW_EH_PE_absptr
  case 0x04: // udata8
  case 0x0C: // sdata8
    result = file.at<std::uint64_t>(at);
    at += 8;
    break;
  case 0x01: return file.uleb(at); // uleb128: always a distance
  case 0x02:                       // udata2
    result = file.at<std::uint16_t>(at);
    at += 2;
    break;
  case 0x03: // udata4
    result = file.at<std::uint32_t>(at);
    at += 4;
    break;
  case 0x0A: // sdata2
    result = static_cast<std::uint64_t>(std::int64_t{file.at<std::int16_t>(at)});
    at += 2;
    break;
  case 0x0B: // sdata4
    result = static_cast<std::uint64_t>(std::int64_t{file.at<std::int32_t>(at)});
    at += 4;
    break;
  default: return 0;
  }
  return result != 0 && (encoding & kApplication) == kPcRelative ? result + address : result;
}

void add_landing_pads(const Bytes& file, std::uint64_t lsda, std::uint64_t function, ElfImage& image) {
  const ElfSegment* const segment = image.segment_of(lsda);
  if (segment == nullptr)
    return;
  const std::uint64_t shift = segment->file_offset - segment->address; // modulo 2^64
  std::uint64_t at = lsda + shift;
  std::uint64_t base = function;
  if (const auto encoding = file.at<std::uint8_t>(at++); encoding != kEncodingOmitted)
    base = encoded_pointer(file, at, at - shift, encoding);
  if (file.at<std::uint8_t>(at++) != kEncodingOmitted) // the type table's
    file.uleb(at);
  const auto encoding = file.at<std::uint8_t>(at++);
  const std::uint64_t bytes = file.uleb(at);
  const std::uint64_t end = at + std::min<std::uint64_t>(bytes, file.size());
  while (at < end && at < file.size()) {
    const std::uint64_t before = at;
    encoded_pointer(file, at, 0, encoding); // where the calls begin
    encoded_pointer(file, at, 0, encoding); // how many bytes they are
    if (const std::uint64_t pad = encoded_pointer(file, at, 0, encoding); pad != 0)
      image.entries.push_back(base + pad);
    file.uleb(at); // what is done there
    if (at == before)
      return;
  }
}

} // namespace proberace
