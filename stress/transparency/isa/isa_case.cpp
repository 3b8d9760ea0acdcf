#include "stress/transparency/isa/isa_case.h"

#include "harness/base/enumeration.h"
#include "stress/transparency/isa/operand_cells.h"

namespace proberace {

namespace {

constexpr int kSize = 100; // RapidCheck's, of every number

template <typename T> rc::Gen<T> any() {
  return rc::gen::resize(kSize, rc::gen::arbitrary<T>());
}

rc::Gen<bool> one_in(int n) {
  return rc::gen::map(rc::gen::resize(kSize, rc::gen::inRange(0, n)), [n](int i) { return i == n - 1; });
}

// 0 but once in n times.
rc::Gen<std::uint32_t> seldom(int n) {
  return rc::gen::mapcat(one_in(n), [](bool now) {
    return now ? rc::gen::inRange<std::uint32_t>(1, 1'000'000) : rc::gen::just<std::uint32_t>(0);
  });
}

rc::Gen<std::uint32_t> choice() {
  return rc::gen::inRange<std::uint32_t>(0, 1'000'000'000);
}

rc::Gen<std::uint64_t> number() {
  return rc::gen::weightedOneOf<std::uint64_t>(
      {{4, any<std::uint64_t>()},
       {2, rc::gen::inRange<std::uint64_t>(0, 70)},
       {1, rc::gen::element<std::uint64_t>(
               0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF'FFFF, 0x8000'0000, 0xFFFF'FFFF, 0x1'0000'0000,
               0xFFFF'FFFF'0000'0000, 0x7FFF'FFFF'FFFF'FFFF, 0x8000'0000'0000'0000, 0xFFFF'FFFF'FFFF'FFFF)}});
}

// Lanes as floating point has them: 1, -0, infinity, not a number, denormal; in either width.
rc::Gen<std::uint64_t> lane() {
  return rc::gen::weightedOneOf<std::uint64_t>(
      {{3, number()},
       {1, rc::gen::element<std::uint64_t>(
               0x3FF0'0000'0000'0000, 0x8000'0000'0000'0000, 0x7FF0'0000'0000'0000, 0x7FF8'0000'0000'0001,
               0x0000'0000'0000'0001, 0x3F80'0000'3F80'0000, 0x7F80'0000'8000'0000, 0x7FC0'0001'0000'0001,
               0x4059'0000'0000'0000, 0x4120'0000'C2C8'0000)}});
}

rc::Gen<Word> word() {
  return rc::gen::build<Word>(
      rc::gen::set(&Word::kind, rc::gen::weightedElement<Word::Kind>({{16, Word::Kind::Number},
                                                                      {3, Word::Kind::Data},
                                                                      {2, Word::Kind::Stack},
                                                                      {1, Word::Kind::Code}})),
      rc::gen::set(&Word::number, number()));
}

rc::Gen<Where> where() {
  static_assert(enumerator_count<Where>() == 10, "give the new one a weight");
  return rc::gen::weightedElement<Where>({{8, Where::Anywhere},
                                          {8, Where::Aligned},
                                          {2, Where::AcrossPages},
                                          {1, Where::ReadOnly},
                                          {1, Where::IntoReadOnly},
                                          {1, Where::NoAccess},
                                          {1, Where::IntoNoAccess},
                                          {1, Where::Nowhere},
                                          {1, Where::NotCanonical},
                                          {1, Where::KernelHalf}});
}

template <typename T> rc::Gen<std::vector<T>> several(std::size_t n, rc::Gen<T> one) {
  return rc::gen::container<std::vector<T>>(n, std::move(one));
}

template <typename T, std::size_t N> rc::Gen<std::array<T, N>> array_of(rc::Gen<T> one) {
  return rc::gen::container<std::array<T, N>>(std::move(one));
}

rc::Gen<OperandChoice> operand_choice() {
  using O = OperandChoice;
  return rc::gen::build<O>(rc::gen::set(&O::operands, array_of<std::uint32_t, 5>(choice())),
                           rc::gen::set(&O::immediate, number()),
                           rc::gen::set(&O::displacement, any<std::int32_t>()),
                           rc::gen::set(&O::segment, seldom(10)), rc::gen::set(&O::redundant, seldom(10)));
}

const rc::Gen<IsaCase>& generator() {
  using C = IsaCase;
  // The instruction itself does not shrink; its operands and all its state do.
  static const rc::Gen<IsaCase> kGenerator = rc::gen::build<C>(
      rc::gen::set(&C::integer, rc::gen::noShrink(one_in(2))),
      rc::gen::set(&C::mnemonic, rc::gen::noShrink(choice())),
      rc::gen::set(&C::form, rc::gen::noShrink(choice())), rc::gen::set(&C::operands, operand_choice()),
      rc::gen::set(&C::registers, several(16, word())), rc::gen::set(&C::memory, several(8, word())),
      rc::gen::set(&C::vectors, several(8, lane())), rc::gen::set(&C::status, any<std::uint64_t>()),
      rc::gen::set(&C::mxcsr, seldom(4)), rc::gen::set(&C::x87_control, seldom(4)),
      rc::gen::set(&C::where, array_of<Where, 2>(where())),
      rc::gen::set(&C::offset, array_of<std::uint32_t, 2>(choice())), rc::gen::set(&C::stack, choice()),
      rc::gen::set(&C::place, choice()), rc::gen::set(&C::branch, choice()), rc::gen::set(&C::pad, choice()));
  return kGenerator;
}

} // namespace

rc::Shrinkable<IsaCase> isa_case(std::uint64_t seed, std::uint64_t number) {
  auto drawn = generator()(rc::Random(rc::Random::Key{seed, number, 0, 0}), kSize);
  const OperandCell* const cell = cell_of(number);
  if (cell == nullptr)
    return drawn;
  return rc::shrinkable::map(std::move(drawn), [cell](IsaCase c) {
    aim(c, *cell);
    return c;
  });
}

std::optional<IsaCase> isa_case(std::uint64_t seed, std::uint64_t number,
                                const std::vector<std::size_t>& path) {
  auto node = isa_case(seed, number);
  for (const std::size_t step : path) {
    auto shrinks = node.shrinks();
    auto next = shrinks.next();
    for (std::size_t i = 0; i < step && next; ++i)
      next = shrinks.next();
    if (!next)
      return std::nullopt;
    node = *next;
  }
  return node.value();
}

const InstructionForm& form_of(const IsaCase& c, const std::vector<std::string>& only) {
  const FormCatalogue& catalogue = FormCatalogue::instance();
  if (!only.empty()) {
    const auto forms = catalogue.forms_of(only[c.mnemonic % only.size()]);
    return *forms[c.form % forms.size()];
  }
  const auto mnemonics = c.integer ? catalogue.integer() : catalogue.other();
  const auto& forms = mnemonics[c.mnemonic % mnemonics.size()].forms;
  return *forms[c.form % forms.size()];
}

} // namespace proberace
