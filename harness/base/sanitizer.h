// The sanitizer this was compiled with.
#pragma once

namespace proberace {

// ThreadSanitizer delivers signals when it likes, and kills a forked child that starts threads.
#ifdef __SANITIZE_THREAD__
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

} // namespace proberace
