#include "stress/names/probe_places.h"

#include "harness/base/failure.h"
#include "harness/code/admission.h"
#include "stress/names/function_name.h"
#include "stress/names/indirect_functions.h"
#include "stress/names/object_name.h"
#include "stress/names/suggestions.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <utility>

namespace proberace {

namespace {

using Objects = std::vector<const LoadedObject*>;

class Locator {
public:
  explicit Locator(const Target& target)
      : target_(target), space_(target.address_space()), loaded_(target.functions().objects(space_)),
        admission_(target) {}

  void locate(const ProbeReadings& readings) {
    std::optional<Error> why; // of the first reading that names a loaded object, or else of the first
    bool names_object = false;
    for (const ProbeName& name : readings) {
      const Objects objects = objects_meant(name.object, loaded_, target_.process());
      if (name.object && objects.empty()) {
        if (!why)
          why = no_such_object(*name.object);
        continue;
      }
      const Status found = name.address ? locate_address(name, objects) : locate_function(name, objects);
      if (found)
        return add_found(name);
      if (!why || (name.object && !names_object))
        why = found.error();
      names_object = names_object || name.object.has_value();
    }
    refuse(readings.front().text, {}, *why);
  }

  ProbePlaces take() {
    std::map<std::string, std::size_t> times;
    for (const ProbePlace& p : result_.places)
      ++times[p.place];
    for (std::size_t i = 0; i < result_.places.size(); ++i)
      if (std::string& place = result_.places[i].place; times[place] > 1)
        place += apart_[i];
    return std::move(result_);
  }

private:
  // `apart` tells places apart that would be called alike.
  struct Found {
    Address at;
    std::string place;
    std::string apart;
  };

  Error no_such_object(const ProbeName::Part& object) const {
    std::vector<std::string> names;
    if (object.text == "uprobe" || object.text == "uretprobe")
      return make(ErrorKind::BadInput, "write OBJECT:FUNCTION, without bpftrace's 'uprobe:'");
    for (const LoadedObject& o : loaded_)
      names.push_back(file_name(o));
    return make(ErrorKind::BadInput, fmt::format("no loaded object is called '{}'; loaded are {}",
                                                 object.text, fmt::join(names, ", ")));
  }

  static Error make(ErrorKind kind, std::string message) { return {kind, {}, std::move(message)}; }

  Status locate_address(const ProbeName& name, const Objects& objects) {
    bool found = false;
    for (const LoadedObject* const object : objects) {
      const ElfSegment* const segment = object->image ? object->image->segment_of(*name.address) : nullptr;
      if (segment == nullptr)
        continue;
      found = true;
      found_.push_back({Address{*name.address} + object->bias,
                        fmt::format("{}:{:#x}", file_name(*object), *name.address),
                        {}});
    }
    if (!found)
      return bad_input("{} has nothing at address {:#x}, as nm prints addresses{}", objects.front()->path,
                       *name.address, as_file_offset(*objects.front(), *name.address));
    return {};
  }

  static std::string as_file_offset(const LoadedObject& object, std::uint64_t offset) {
    if (object.image)
      for (const ElfSegment& s : object.image->segments)
        if (s.file_offset <= offset && offset - s.file_offset < s.file_bytes)
          return fmt::format("; this offset in the file is address {:#x}",
                             offset - s.file_offset + s.address);
    return {};
  }

  Status locate_function(const ProbeName& name, const Objects& objects) {
    for (const MeantAs meaning : kMeanings) {
      bool found = false;
      for (const LoadedObject* const object : objects)
        if (object->image)
          for (const ElfSymbol* const symbol : symbols_named(name, *object->image, meaning)) {
            found = true;
            add_symbol(name, *object, *symbol);
          }
      if (found)
        return {};
    }
    const std::string what =
        name.version.empty() ? name.function.text : fmt::format("{}@{}", name.function.text, name.version);
    const std::string hint = hint_of_similar(name.function.text, objects);
    if (!name.object)
      return bad_input("no loaded object has a function '{}'{}", what, hint);
    if (!objects.front()->image)
      return bad_input("{} cannot be read as an ELF file that is loaded here", objects.front()->path);
    return bad_input("{} has no function '{}'{}", objects.front()->path, what, hint);
  }

  void add_symbol(const ProbeName& name, const LoadedObject& object, const ElfSymbol& symbol) {
    std::string place = fmt::format("{}:{}", file_name(object), shown(symbol));
    if (name.offset != 0)
      place += fmt::format("+{:#x}", name.offset);
    std::vector<Address> functions{Address{symbol.start} + object.bias};
    if (symbol.indirect)
      functions = chosen_functions(target_, loaded_, object, symbol);
    if (functions.empty())
      refuse(name.text, place,
             make(ErrorKind::BadInput,
                  fmt::format(
                      "'{}' of {} is an indirect function, and nothing has chosen what it stands for yet",
                      symbol.name, object.path)));
    for (const Address function : functions)
      found_.push_back({function + name.offset, place,
                        symbol.version.empty() ? fmt::format(" at {:#x}", value(function - object.bias))
                                               : fmt::format("@{}", symbol.version)});
  }

  void add_found(const ProbeName& name) {
    std::ranges::stable_sort(found_, {}, &Found::at);
    for (const Found& found : std::exchange(found_, {}))
      add(name, found);
  }

  void add(const ProbeName& name, const Found& found) {
    const Address at = found.at;
    if (const auto it = known_.find(at); it != known_.end()) {
      ProbePlace& known = result_.places[it->second];
      // Of several symbols at one place, the shortest is the one that people know.
      if (found.place.size() < known.place.size()) {
        known.place = found.place;
        apart_[it->second] = found.apart;
      }
      return add_name(known.names, name.text);
    }
    const auto site = target_.site_at(space_, at);
    const auto instruction = site ? admission_.admit(space_, *site)
                                  : std::expected<Instruction, Error>(std::unexpected(site.error()));
    if (!instruction)
      return refuse(name.text, found.place, instruction.error());
    known_.emplace(at, result_.places.size());
    result_.places.push_back({{name.text}, found.place, *site, *instruction});
    apart_.push_back(found.apart);
  }

  static void add_name(std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end())
      names.push_back(name);
  }

  // An alias of a place that was refused is refused with it.
  void refuse(const std::string& name, std::string place, Error error) {
    if (error.address != Address{}) {
      const auto [it, fresh] = refused_.try_emplace(error.address, result_.refused.size());
      if (!fresh)
        return add_name(result_.refused[it->second].names, name);
    }
    result_.refused.push_back({{name}, std::move(place), std::move(error)});
  }

  const Target& target_;
  const AddressSpace space_;
  const std::vector<LoadedObject> loaded_;
  Admission admission_;
  std::map<Address, std::size_t> known_, refused_; // which of the places, of the refused
  std::vector<Found> found_;                       // of the name that is looked for
  ProbePlaces result_;
  std::vector<std::string> apart_; // of each place
};

} // namespace

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

ProbePlaces locate(std::span<const ProbeReadings> probes, const Target& target) {
  Locator locator(target);
  for (const ProbeReadings& readings : probes)
    locator.locate(readings);
  return locator.take();
}

} // namespace proberace
