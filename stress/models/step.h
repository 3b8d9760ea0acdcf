/* A step of a protocol: what a thread does from one schedule point of the code to the next. It is one atomic block that
 * begins with STEP(task, name); names.h has the points' names. What has no STEP is not seen: a lock that is got, a wait
 * that ends.
 *
 * Checked, the steps are printed, so that a trail reads as a schedule. With TRACES, the model reads schedules recorded
 * from the code instead, one of them, chosen at the beginning: each step must be the next one of it, and which were read
 * to the end, or else how far, is printed when the search ends (traces.h is written by scripts/models). */
#include "names.h"

#ifdef TRACES
c_decl {
\#include "traces.h"
}
int trace_read, position;
short next_task, next_name;
#define READ_TRACES                                                                                                    \
  do                                                                                                                   \
  :: trace_read < c_expr { trace_count - 1 } -> trace_read++                                                                     \
  :: break                                                                                                             \
  od;                                                                                                                  \
  c_code { read_step(now.trace_read, now.position, &now.next_task, &now.next_name); }
#define STEP(task, name)                                                                                               \
  (next_task == task && next_name == name);                                                                            \
  position++;                                                                                                          \
  c_code { read_step(now.trace_read, now.position, &now.next_task, &now.next_name); }
#else
#define READ_TRACES skip
#define STEP(task, name) printf("step %d %d\n", task, name)
#endif
