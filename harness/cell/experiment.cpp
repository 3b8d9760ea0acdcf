#include "harness/cell/experiment.h"

#include <map>

namespace proberace {

namespace {
std::map<std::string, Experiment>& table() {
  static std::map<std::string, Experiment> instance;
  return instance;
}
} // namespace

bool register_experiment(std::string name, Experiment experiment) {
  return table().emplace(std::move(name), std::move(experiment)).second;
}

const Experiment* find_experiment(const std::string& name) {
  const auto it = table().find(name);
  return it != table().end() ? &it->second : nullptr;
}

Verdict verdict_of(const Error& error) {
  const bool lacks = error.kind == ErrorKind::MachineLacks || error.kind == ErrorKind::NoPermission;
  Verdict v;
  v.ending = lacks ? Ending::Skipped : Ending::Refused;
  v.summary = describe(error);
  v.evidence = Json{{"error", name(error.kind)}, {"message", error.message}};
  return v;
}

} // namespace proberace
