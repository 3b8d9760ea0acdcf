// May this page be replaced by a copy and put back as it was?
#pragma once

#include "harness/base/address_space.h"

namespace proberace {

// Refuses, in words, every page but a clean, unlocked one of a private, not writable file mapping:
// MemoryUnsupported.
Status clean_private_file_page(const AddressSpace& space, Address page);

// True if the mapping around it is locked in memory (mlock), or if that cannot be found out.
bool locked(Address page);

// Gives up the private copy of a page of a private file mapping, if it holds what the file holds; then the
// file's own page is there again (madvise(2), MADV_DONTNEED). False, and nothing done, if it differs, or if
// the kernel refuses (a locked or sealed page). Other threads may execute it meanwhile.
bool drop_if_as_in_file(Address page);

} // namespace proberace
