// The program whose strategies have their schedule points compiled in, `proberace-controlled`, lies beside
// this one and takes the same commands.
#pragma once

#include "harness/base/error.h"

namespace proberace {

// Returns if this program has schedule points. Otherwise it becomes the one that has, with the same
// arguments; MachineLacks if there is none.
Status become_controlled();

} // namespace proberace
