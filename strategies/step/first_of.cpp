// emulate|xol-vma, emulate|xol-boost|xol-vma: per site the first of several steppers that takes its
// instruction, chosen once, before the site is armed. The first pair is the kernel's own choice
// (arch/x86/kernel/uprobes.c, arch_uprobe_analyze_insn). What such a stepper promises, all of them do. Their parts can
// be named in any order.
//
// The way a site's plan ends (PlanEnd) tells to which of them it belongs, so that a hit needs no table.
#include "harness/probe/registry.h"
#include "harness/probe/stepper.h"

#include <algorithm>
#include <array>
#include <optional>

namespace proberace {

namespace {

class FirstOf final : public Stepper {
public:
  // Fastest first. Precondition: each ends its plans in another way.
  FirstOf(std::string name, std::vector<std::unique_ptr<Stepper>> parts)
      : name_(std::move(name)), order_(std::move(parts)) {}

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
    std::optional<Error> refused;
    for (const auto& stepper : order_) {
      auto plan = stepper->plan(instruction, slots, abilities);
      if (plan) {
        // Before the site can be hit, and once: handlers read it.
        Stepper*& owner = by_end_[index((*plan)->end())];
        if (owner == nullptr)
          owner = stepper.get();
        return plan;
      }
      refused = plan.error();
    }
    return std::unexpected(*refused);
  }

  void begin(TrapContext& context, const Displaced& displaced) noexcept override {
    by_end_[index(displaced.plan->end())]->begin(context, displaced);
  }

  Stepped finish(TrapContext& context, const Displaced& displaced, bool armed) noexcept override {
    return by_end_[index(displaced.plan->end())]->finish(context, displaced, armed);
  }

private:
  static constexpr std::size_t index(PlanEnd end) noexcept { return static_cast<std::size_t>(end); }

  const std::string name_;
  std::vector<std::unique_ptr<Stepper>> order_;
  std::array<Stepper*, kPlanEnds> by_end_{};
};

std::unique_ptr<Stepper> of(const std::string& name, std::initializer_list<const char*> names) {
  std::vector<std::unique_ptr<Stepper>> parts;
  for (const char* part : names)
    parts.push_back(make_stepper(part));
  return std::make_unique<FirstOf>(name, std::move(parts));
}

const bool registered =
    register_stepper("emulate|xol-vma",
                     "emulate where possible, else single-step a copy in a mapping added to the process", [] {
                       return of("emulate|xol-vma", {"emulate", "xol-vma"});
                     });
const bool registered_with_boost =
    register_stepper("emulate|xol-boost|xol-vma",
                     "emulate where possible, else a copy that ends in a jump back, else a step", [] {
                       return of("emulate|xol-boost|xol-vma", {"emulate", "xol-boost", "xol-vma"});
                     });
const bool registered_any_order =
    register_composition([](const std::string& name, std::vector<std::unique_ptr<Stepper>> parts) {
      return std::unique_ptr<Stepper>(std::make_unique<FirstOf>(name, std::move(parts)));
    });

} // namespace

} // namespace proberace
