// Every form of every instruction: one per mnemonic, encoding, kind and size of operands, and prefix that
// changes what it does. The generator picks a form and fills it with operands.
//
// Idea: the opcode space is walked with Zydis' decoder; what it knows, and Zydis' encoder can say again, is a
// form. Operands are put in through the encoder, so that its rules (which registers need which prefix, how a
// displacement is compressed) are not written here again.
#pragma once

#include "harness/code/decode.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace proberace {

struct InstructionForm; // forms.cpp

// The operands to fill a form with. Every number is reduced to the choices that there are; zeros are the
// simplest choice.
struct OperandChoice {
  std::array<std::uint32_t, 5> operands{}; // which register; or the shape of a memory operand
  std::uint64_t immediate = 0;
  std::int32_t displacement = 0;
  std::uint32_t segment = 0;   // 0 for none; else fs or gs
  std::uint32_t redundant = 0; // 0 for none; else a prefix in front that need not be there
};

class FormCatalogue {
public:
  // Walks the opcode space: some 0.2 s.
  static const FormCatalogue& instance();

  // Forms of integer code and of the rest (x87, vectors, systems), grouped by mnemonic.
  struct Mnemonic {
    std::string name;
    std::vector<const InstructionForm*> forms;
  };
  std::span<const Mnemonic> integer() const noexcept { return integer_; }
  std::span<const Mnemonic> other() const noexcept { return other_; }
  std::size_t forms() const noexcept { return forms_; }
  // All of one mnemonic, of either kind; none if there is no such mnemonic.
  std::vector<const InstructionForm*> forms_of(std::string_view mnemonic) const;

  // Never tried, with the reason, sorted by name.
  struct Excluded {
    std::string name;
    std::string_view why;
  };
  std::span<const Excluded> excluded() const noexcept { return excluded_; }

  FormCatalogue(const FormCatalogue&) = delete;
  FormCatalogue& operator=(const FormCatalogue&) = delete;

private:
  FormCatalogue();
  ~FormCatalogue();

  std::vector<InstructionForm> all_;
  std::vector<Mnemonic> integer_, other_;
  std::vector<Excluded> excluded_;
  std::size_t forms_ = 0;
};

// At most 15 bytes. None if the encoder knows no instruction like that; without any choice it does.
std::optional<std::vector<std::uint8_t>> encode(const InstructionForm& form, const OperandChoice& choice);

} // namespace proberace
