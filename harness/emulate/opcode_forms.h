// For tests: every encoding form the emulator's table covers, as the opcode map has them (SDM vol. 2D, A.3),
// so that forms are made by the processor's rules and not by the emulator's.
#pragma once

#include <cstdint>
#include <vector>

namespace proberace {

struct OpcodeForm {
  enum class Immediate : std::uint8_t { None, Byte, Word, Operand, Full, Branch, Offset };
  std::vector<std::uint8_t> opcode{};
  bool modrm = false;
  int digit = -1; // of the ModRM byte's reg field; any, if negative
  Immediate immediate = Immediate::None;
  bool repeat_prefix = false; // a mandatory F3
};

inline std::vector<OpcodeForm> opcode_forms() {
  using I = OpcodeForm::Immediate;
  std::vector<OpcodeForm> forms;
  const auto add = [&forms](std::vector<int> opcode, bool modrm, int digit = -1, I immediate = I::None,
                            bool repeat = false) {
    forms.push_back({{opcode.begin(), opcode.end()}, modrm, digit, immediate, repeat});
  };
  for (int op = 0; op < 8; ++op) { // add or adc sbb and sub xor cmp
    for (int low = 0; low < 4; ++low)
      add({op * 8 + low}, true);
    add({op * 8 + 4}, false, -1, I::Byte);
    add({op * 8 + 5}, false, -1, I::Operand);
    add({0x80}, true, op, I::Byte);
    add({0x81}, true, op, I::Operand);
    add({0x83}, true, op, I::Byte);
    add({0xC0}, true, op, I::Byte); // shifts and rotates
    add({0xC1}, true, op, I::Byte);
    for (int opcode = 0xD0; opcode <= 0xD3; ++opcode)
      add({opcode}, true, op);
  }
  for (int digit = 0; digit < 8; ++digit) { // test, not, neg, mul, imul, div, idiv
    add({0xF6}, true, digit, digit < 2 ? I::Byte : I::None);
    add({0xF7}, true, digit, digit < 2 ? I::Operand : I::None);
  }
  for (int digit = 0; digit < 2; ++digit) { // inc, dec
    add({0xFE}, true, digit);
    add({0xFF}, true, digit);
  }
  for (const int digit : {2, 4, 6}) // call, jmp, push
    add({0xFF}, true, digit);
  for (int opcode = 0x84; opcode <= 0x8B; ++opcode) // test, xchg, mov
    add({opcode}, true);
  add({0xA8}, false, -1, I::Byte);
  add({0xA9}, false, -1, I::Operand);
  add({0x8D}, true);    // lea
  add({0x8F}, true, 0); // pop
  add({0xC6}, true, 0, I::Byte);
  add({0xC7}, true, 0, I::Operand);
  add({0x63}, true); // movsxd
  for (int opcode = 0xA0; opcode <= 0xA3; ++opcode)
    add({opcode}, false, -1, I::Offset);
  for (int r = 0; r < 8; ++r) {
    add({0x50 + r}, false);
    add({0x58 + r}, false);
    add({0x90 + r}, false);
    add({0xB0 + r}, false, -1, I::Byte);
    add({0xB8 + r}, false, -1, I::Full);
    add({0x0F, 0xC8 + r}, false); // bswap
  }
  add({0x68}, false, -1, I::Operand);
  add({0x6A}, false, -1, I::Byte);
  add({0x69}, true, -1, I::Operand); // imul
  add({0x6B}, true, -1, I::Byte);
  add({0x0F, 0xAF}, true);
  for (const int opcode : {0xA4, 0xAC}) { // shld, shrd
    add({0x0F, opcode}, true, -1, I::Byte);
    add({0x0F, opcode + 1}, true);
  }
  for (int c = 0; c < 16; ++c) {
    add({0x70 + c}, false, -1, I::Byte);
    add({0x0F, 0x80 + c}, false, -1, I::Branch);
    add({0x0F, 0x90 + c}, true);
    add({0x0F, 0x40 + c}, true);
  }
  for (int opcode = 0xE0; opcode <= 0xE3; ++opcode) // loopne, loope, loop, jrcxz
    add({opcode}, false, -1, I::Byte);
  add({0xEB}, false, -1, I::Byte);
  add({0xE9}, false, -1, I::Branch);
  add({0xE8}, false, -1, I::Branch);
  add({0xC3}, false);
  add({0xC2}, false, -1, I::Word);
  add({0xC9}, false);                                                       // leave
  for (const int opcode : {0xB6, 0xB7, 0xBE, 0xBF, 0xC0, 0xC1, 0xB0, 0xB1}) // movzx movsx xadd cmpxchg
    add({0x0F, opcode}, true);
  for (const int opcode : {0xA3, 0xAB, 0xB3, 0xBB}) // bt bts btr btc
    add({0x0F, opcode}, true);
  for (int digit = 4; digit < 8; ++digit)
    add({0x0F, 0xBA}, true, digit, I::Byte);
  for (const int opcode : {0xBC, 0xBD}) { // bsf, bsr; tzcnt, lzcnt
    add({0x0F, opcode}, true);
    add({0x0F, opcode}, true, -1, I::None, true);
  }
  add({0x0F, 0xB8}, true, -1, I::None, true);                         // popcnt
  for (const int opcode : {0x98, 0x99, 0x9E, 0x9F, 0xF5, 0xF8, 0xF9}) // cbw cwd sahf lahf cmc clc stc
    add({opcode}, false);
  add({0x0F, 0x1F}, true, 0); // nop
  for (int digit = 0; digit < 4; ++digit)
    add({0x0F, 0x18}, true, digit); // prefetch
  add({0x0F, 0x0D}, true, 1);
  add({0x90}, false, -1, I::None, true); // pause
  for (const int fence : {0xE8, 0xF0, 0xF8})
    add({0x0F, 0xAE, fence}, false);
  add({0x0F, 0x1E, 0xFA}, false, -1, I::None, true); // endbr64
  add({0x0F, 0x1E, 0xFB}, false, -1, I::None, true);
  return forms;
}

} // namespace proberace
