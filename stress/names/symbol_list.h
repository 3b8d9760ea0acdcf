// The functions that can be named in a file, or in a process' loaded files.
#pragma once

#include "harness/base/error.h"
#include "harness/base/fields.h"

#include <cstdint>
#include <string>
#include <vector>

namespace proberace {

struct ListedFunction {
  std::string name;          // demangled, with its version
  std::string symbol;        // as the file has it, without a version
  std::string version;       // "" if it has none
  std::uint64_t address = 0; // as nm prints it: in the file's own numbering
  std::uint64_t bytes = 0;   // 0 if the file does not say
  bool indirect = false;     // its resolver is listed; a probe takes the function that was chosen

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("name", self.name);
    field("symbol", self.symbol);
    field("version", self.version);
    field("address", self.address);
    field("bytes", self.bytes);
    field("indirect", self.indirect);
  }
  auto operator<=>(const ListedFunction&) const = default;
};

struct ListedObject {
  std::string path;
  std::string soname;                    // "" if it has none
  std::vector<ListedFunction> functions; // by address, then name; each once

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("path", self.path);
    field("soname", self.soname);
    field("functions", self.functions);
  }
};

struct SymbolList {
  std::vector<ListedObject> objects;

  template <class Self, class Field> static void fields(Self& self, Field&& field) {
    field("schema", Schema{"proberace/symbols/1"});
    field("objects", self.objects);
  }
};

// `subject` is a process' id, a file, or a program in PATH. `wanted` is written as a probe is (probe_name.h), without
// an offset; "" for all. BadInput if there is no such subject or function.
std::expected<SymbolList, Error> list_symbols(const std::string& subject, const std::string& wanted);

// A line for each, ready to be probed: "libz.so.1:inflate".
std::string text_of(const SymbolList& list);

} // namespace proberace
