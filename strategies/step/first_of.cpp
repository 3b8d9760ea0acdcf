// emulate|xol-vma, emulate|xol-boost|xol-vma: per site the first of several steppers that takes its
// instruction, chosen once, before the site is armed. The first pair is the kernel's own choice
// (arch/x86/kernel/uprobes.c, arch_uprobe_analyze_insn). What such a stepper promises, all of them do.
//
// The way a site's plan ends (PlanEnd) tells to which of them it belongs, so that a hit needs no table.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"

#include <algorithm>
#include <array>

namespace proberace {

namespace {

class FirstOf final : public Stepper {
public:
  struct Choice {
    PlanEnd end;
    const char* name;
  };

  // Fastest first. Precondition: each ends its plans as said, each in another way.
  FirstOf(std::string_view name, std::initializer_list<Choice> choices) : name_(name) {
    for (const Choice& choice : choices)
      by_end_[index(choice.end)] = order_.emplace_back(make_stepper(choice.name)).get();
  }

  std::string_view name() const noexcept override { return name_; }
  Promises promises() const noexcept override {
    Promises all = Promises::all();
    for (const auto& stepper : order_)
      all = all & stepper->promises();
    return all;
  }
  Facts facts() const noexcept override {
    Facts either = order_.front()->facts();
    for (auto next = order_.begin() + 1; next != order_.end(); ++next)
      either = either | (*next)->facts();
    return either;
  }

  std::expected<std::unique_ptr<const StepPlan>, Error> plan(const Instruction& instruction, SlotSpace& slots,
                                                             const Abilities& abilities) override {
    auto plan = order_.front()->plan(instruction, slots, abilities);
    for (auto next = order_.begin() + 1; !plan && next != order_.end(); ++next)
      plan = (*next)->plan(instruction, slots, abilities);
    return plan;
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    by_end_[index(displaced.plan->end())]->begin(context, displaced);
  }

  Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept override {
    return by_end_[index(displaced.plan->end())]->finish(context, displaced, armed);
  }

private:
  static constexpr std::size_t index(PlanEnd end) noexcept { return static_cast<std::size_t>(end); }

  const std::string_view name_;
  std::vector<std::unique_ptr<Stepper>> order_;
  std::array<Stepper*, kPlanEnds> by_end_{};
};

const bool registered = register_stepper(
    "emulate|xol-vma", "emulate where possible, else single-step a copy in a mapping added to the process",
    [] {
      return std::make_unique<FirstOf>(
          "emulate|xol-vma", std::initializer_list<FirstOf::Choice>{{PlanEnd::AtOnce, "emulate"},
                                                                    {PlanEnd::AfterSteps, "xol-vma"}});
    });
const bool registered_with_boost =
    register_stepper("emulate|xol-boost|xol-vma",
                     "emulate where possible, else a copy that ends in a jump back, else a step", [] {
                       return std::make_unique<FirstOf>(
                           "emulate|xol-boost|xol-vma",
                           std::initializer_list<FirstOf::Choice>{{PlanEnd::AtOnce, "emulate"},
                                                                  {PlanEnd::ByJump, "xol-boost"},
                                                                  {PlanEnd::AfterSteps, "xol-vma"}});
                     });

} // namespace

} // namespace proberace
