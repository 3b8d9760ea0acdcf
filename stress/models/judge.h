/* What the harness knows of each site (SiteState in harness/record), and holds each execution to: one that began and
 * ended between two operations is counted once if the site was armed, and not if it was clear; nothing is counted while
 * a site is clear. */
byte operations[SITES]; /* in flight */
byte sequence[SITES];   /* operations begun and ended */
bool armed[SITES];      /* by the last one that did something */

#define BEGIN_OPERATION(s)                                                                                             \
  operations[s]++;                                                                                                     \
  sequence[s]++
#define END_OPERATION(s)                                                                                               \
  operations[s]--;                                                                                                     \
  sequence[s]++

/* Of an execution; the process has `byte before; bool quiet, was_armed, hit`. */
#define BEGIN_EXECUTION(s)                                                                                             \
  before = sequence[s];                                                                                                \
  quiet = operations[s] == 0;                                                                                          \
  was_armed = armed[s];                                                                                                \
  hit = false
#define COUNT(s)                                                                                                       \
  assert(!hit); /* counted once */                                                                                     \
  assert(operations[s] != 0 || armed[s]); /* not while it is clear */                                                  \
  hit = true
#define END_EXECUTION(s)                                                                                               \
  assert(!(quiet && sequence[s] == before) || hit == was_armed) /* none lost, none spurious */
