#include "stress/names/symbol_list.h"

#include "harness/base/failure.h"
#include "harness/code/mapped_file.h"
#include "harness/code/target.h"
#include "harness/ptrace/proc_status.h"
#include "harness/result/table.h"
#include "stress/names/function_name.h"
#include "stress/names/object_name.h"
#include "stress/names/suggestions.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>

namespace proberace {

namespace {

// What holds the objects' names.
struct Subject {
  std::optional<Target> target{};      // a process,
  std::optional<MappedFile> content{}; // or a file
  std::vector<LoadedObject> objects{};
  pid_t process = 0;
};

std::optional<pid_t> process_in(const std::string& text) {
  pid_t process = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, process);
  return error == std::errc{} && stopped == end && process > 0 ? std::optional(process) : std::nullopt;
}

Status open_process(pid_t process, Subject& subject) {
  if (threads_of(process).empty())
    return bad_input("there is no process {}", process);
  subject.process = process;
  subject.target.emplace(live_thread_of(process));
  subject.objects = subject.target->functions().objects(subject.target->address_space());
  if (subject.objects.empty())
    return bad_input("the mappings of process {} cannot be read: run as its user, or as root", process);
  return {};
}

Status open_file(const std::string& path, Subject& subject) {
  auto content = MappedFile::open(path);
  if (!content)
    return std::unexpected(content.error());
  auto image = read_elf_functions(content->bytes(), path, DebugFile::Read);
  if (!image)
    return std::unexpected(image.error());
  subject.content.emplace(std::move(*content));
  std::error_code ignored;
  const std::string real = std::filesystem::canonical(path, ignored).string();
  subject.objects.push_back(
      {.path = real.empty() ? path : real, .image = std::make_shared<const ElfImage>(std::move(*image))});
  return {};
}

Status open(const std::string& text, Subject& subject) {
  if (const auto process = process_in(text))
    return open_process(*process, subject);
  std::error_code ignored;
  const bool is_file = std::filesystem::is_regular_file(text, ignored);
  if (is_file || text.find('/') != std::string::npos)
    return open_file(text, subject);
  if (const auto program = found_in_path(text))
    return open_file(*program, subject);
  return bad_input("'{}' is no process, no file, and no program in PATH", text);
}

ListedFunction listed(const ElfSymbol& symbol) {
  const std::string name = shown(symbol);
  return {.name = symbol.version.empty() ? name : fmt::format("{}@{}", name, symbol.version),
          .symbol = std::string(symbol.name),
          .version = std::string(symbol.version),
          .address = symbol.start,
          .bytes = symbol.bytes,
          .indirect = symbol.indirect};
}

void add(SymbolList& list, const LoadedObject& object, const std::vector<const ElfSymbol*>& symbols) {
  ListedObject one{.path = object.path, .soname = object.image->soname, .functions = {}};
  for (const ElfSymbol* const symbol : symbols)
    one.functions.push_back(listed(*symbol));
  std::ranges::sort(one.functions, [](const ListedFunction& a, const ListedFunction& b) {
    return std::tie(a.address, a.name, a.symbol) < std::tie(b.address, b.name, b.symbol);
  });
  // A dynamic symbol stands in both tables, and only one of them may know its version.
  const auto same = [](const ListedFunction& a, const ListedFunction& b) {
    return a.address == b.address && a.symbol == b.symbol && (a.version == b.version || a.version.empty());
  };
  std::vector<ListedFunction> once;
  for (ListedFunction& f : one.functions)
    if (once.empty() || !same(once.back(), f))
      once.push_back(std::move(f));
    else
      once.back() = std::move(f);
  one.functions = std::move(once);
  if (!one.functions.empty())
    list.objects.push_back(std::move(one));
}

SymbolList all_of(const Subject& subject) {
  SymbolList list;
  for (const LoadedObject& object : subject.objects) {
    if (!object.image)
      continue;
    std::vector<const ElfSymbol*> symbols;
    for (const ElfSymbol& symbol : object.image->symbols)
      symbols.push_back(&symbol);
    add(list, object, symbols);
  }
  return list;
}

SymbolList of_name(const Subject& subject, const ProbeName& name) {
  SymbolList list;
  if (name.offset != 0)
    return list;
  const auto objects = objects_meant(name.object, subject.objects, subject.process);
  for (const MeantAs meaning : kMeanings) {
    for (const LoadedObject* const object : objects)
      if (object->image)
        add(list, *object, symbols_named(name, *object->image, meaning));
    if (!list.objects.empty())
      break;
  }
  return list;
}

} // namespace

std::expected<SymbolList, Error> list_symbols(const std::string& subject_text, const std::string& wanted) {
  Subject subject;
  if (const Status opened = open(subject_text, subject); !opened)
    return std::unexpected(opened.error());
  if (wanted.empty())
    return all_of(subject);
  const auto readings = readings_of(wanted);
  if (!readings)
    return std::unexpected(readings.error());
  if (readings->front().address)
    return bad_input("'{}' is an address: symbols takes names and patterns", wanted);
  for (const ProbeName& name : *readings)
    if (SymbolList list = of_name(subject, name); !list.objects.empty())
      return list;
  const auto objects = objects_meant({}, subject.objects, subject.process);
  return bad_input("{} has no function '{}'{}", subject_text, wanted,
                   hint_of_similar(readings->back().function.text, objects));
}

std::string text_of(const SymbolList& list) {
  Table table({"address", "bytes", "kind", "probe"}, {true, true, false, false});
  for (const ListedObject& object : list.objects) {
    const std::string file = object.path.substr(object.path.rfind('/') + 1);
    for (const ListedFunction& f : object.functions)
      table.add({fmt::format("{:#x}", f.address), f.bytes == 0 ? "?" : std::to_string(f.bytes),
                 f.indirect ? "indirect" : "function", fmt::format("{}:{}", file, f.name)});
  }
  return table.text();
}

} // namespace proberace
