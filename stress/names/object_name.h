// Which loaded files a user means by an object's name.
#pragma once

#include "harness/code/function_index.h"
#include "stress/names/probe_name.h"

#include <sys/types.h>
#include <vector>

namespace proberace {

// By the first of these that is true of any: the end of its path, in whole components ("libz.so.1.2.13",
// "/usr/bin/python3.11"); its SONAME ("libz.so.1"); a path to it, as this process or the other sees it, or a program
// in PATH ("./prog", "python3"); its name up to ".so" ("libz"); a pattern of its name or SONAME ("lib*"); the end of
// its path at all ("z.so.1.2.13").
std::vector<const LoadedObject*> objects_named(const ProbeName::Part& name,
                                               std::span<const LoadedObject> loaded, pid_t process);

// Those; without a name all of them.
std::vector<const LoadedObject*> objects_meant(const std::optional<ProbeName::Part>& name,
                                               std::span<const LoadedObject> loaded, pid_t process);

// The last component of its path.
std::string file_name(const LoadedObject& object);

// Where execvp(3) finds a program of this name. None if no folder of PATH has it. Precondition: no slash in it.
std::optional<std::string> found_in_path(const std::string& program);

} // namespace proberace
