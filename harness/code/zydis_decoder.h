// Zydis' decoder for 64-bit code. Private to this folder. Thread-safe.
#pragma once

#include <Zydis/Zydis.h>

namespace proberace {

inline const ZydisDecoder& zydis_decoder() {
  static const ZydisDecoder instance = [] {
    ZydisDecoder d;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return d;
  }();
  return instance;
}

} // namespace proberace
