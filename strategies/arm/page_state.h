// May this page be replaced by a copy and put back as it was?
#pragma once

#include "harness/base/address_space.h"

namespace proberace {

// Refuses, in words, every page but a clean, unlocked one of a private, not writable file mapping:
// MemoryUnsupported.
Status clean_private_file_page(const AddressSpace& space, Address page);

} // namespace proberace
