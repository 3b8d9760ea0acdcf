/* Stopping the world by rendezvous (strategies/arm/rendezvous.cpp): every thread is sent a signal and waits in its
 * handler while the byte is written. A thread may hold the signal back (it is in a hit), idle, or be created meanwhile
 * (H07, H08, H09); who is called when nobody waits for it any more goes on at once.
 *
 * Properties: no thread executes the site while it is written (H07), no hit lost (H09), none while the site is clear
 * Scenario: strategy stop-world/rendezvous+emulate
 * Scenario: bodies A=mov
 * Scenario: thread 0: run A
 * Scenario: thread 1: spawn: run A
 * Scenario: thread 2: insert A; remove A
 * Guard: LETS_GO rendezvous-never-lets-go
 * Guard: UNTIL_NONE_IS_NEW not-observable
 * Guard: ONLY_WHEN_ALL_CAME not-observable
 */
#include "step.inc"
#define SITES 1
#define THREADS 5
#define HEAVY_FENCE 1
#define QUIESCE 1
#include "judge.inc"

#define EXECUTES 0 /* tasks */
#define SPAWNS 1
#define CONTROLS 2
#define SPAWNED 4
bool int3, live, writing;
#ifdef FRESH
#define WRITES skip /* a controlled run writes the byte in one */
#else
#define WRITES writing = true
#endif
bool inside[THREADS];
bool alive[THREADS];
bool called[THREADS];  /* the signal is pending */
bool arrived[THREADS]; /* it waits in the handler */
byte generation;       /* odd while threads are to wait */
byte at_work = 2;      /* the controller, and who spawns */

/* Where a thread goes on that holds no signal back. */
#define INTERRUPTION(me)                                                                                               \
  do                                                                                                                   \
  :: atomic { called[me] && generation % 2 == 1 ->                                                                     \
              called[me] = false;                                                                                      \
              round = generation };                                                                                    \
     atomic { STEP(me, S_stop_arrive); arrived[me] = true };                                                           \
     generation != round                                                                                               \
  :: atomic { called[me] && generation % 2 == 0 -> called[me] = false }                                                \
  :: atomic { !called[me] -> break }                                                                                   \
  od

inline execution(me) {
  atomic { BEGIN_EXECUTION(0); assert(!writing) }
  do
  :: atomic { !int3 -> END_EXECUTION(0); break }
  :: atomic { int3 };
     atomic { STEP(me, S_trap_taken); inside[me] = true }
     atomic { STEP(me, S_trap_inside) }
     if
     :: atomic { live };
        atomic { STEP(me, S_trap_found); COUNT(0); inside[me] = false }
        atomic { STEP(me, S_trap_leave) }
        INTERRUPTION(me);
        atomic { assert(!writing); END_EXECUTION(0); break }
     :: atomic { !live };
        atomic { STEP(me, S_trap_dead); assert(!int3); inside[me] = false }
        atomic { STEP(me, S_trap_leave) }
        INTERRUPTION(me);
        atomic { assert(!writing) }
     fi
  od
}

/* Until nobody calls any more. */
inline idle(me) {
  do
  :: called[me] -> INTERRUPTION(me)
  :: atomic { at_work == 0 && !called[me] -> break }
  od
}

proctype executes() {
  byte before, round;
  bool quiet, was_armed, hit;
  INTERRUPTION(EXECUTES);
  atomic { STEP(EXECUTES, S_execute) }
  INTERRUPTION(EXECUTES);
  execution(EXECUTES);
  idle(EXECUTES)
}

proctype spawned() {
  byte before, round;
  bool quiet, was_armed, hit;
  INTERRUPTION(SPAWNED);
  execution(SPAWNED);
  do
  :: called[SPAWNED] -> INTERRUPTION(SPAWNED)
  :: atomic { !called[SPAWNED] -> alive[SPAWNED] = false; break }
  od
}

proctype spawns() {
  byte round;
  INTERRUPTION(SPAWNS);
  atomic { STEP(SPAWNS, S_spawn) }
  INTERRUPTION(SPAWNS);
  atomic { alive[SPAWNED] = true; run spawned() }
  do
  :: called[SPAWNS] -> INTERRUPTION(SPAWNS)
  :: atomic { !alive[SPAWNED] -> at_work--; break }
  od;
  idle(SPAWNS)
}

#define CAME(t) (!alive[t] || arrived[t])
#define CALL(t) called[t] = called[t] || (alive[t] && !known[t]); known[t] = known[t] || alive[t]

inline while_stopped(byte_then) {
  atomic {
    STEP(CONTROLS, S_stop_call);
    generation++;
    arrived[EXECUTES] = false;
    arrived[SPAWNS] = false;
    arrived[SPAWNED] = false;
    known[EXECUTES] = false;
    known[SPAWNS] = false;
    known[SPAWNED] = false;
    CALL(EXECUTES);
    CALL(SPAWNS);
    CALL(SPAWNED)
  }
  do
  :: atomic { UNTIL_NONE_IS_NEW && alive[SPAWNED] && !known[SPAWNED] -> CALL(SPAWNED) }
  :: atomic { (CAME(EXECUTES) && CAME(SPAWNS) && (CAME(SPAWNED) || !known[SPAWNED]) &&
               (!alive[SPAWNED] || known[SPAWNED] || !UNTIL_NONE_IS_NEW)) || !ONLY_WHEN_ALL_CAME -> WRITES; break }
  od;
  atomic { int3 = byte_then; writing = false; generation = generation + (LETS_GO -> 1 : 2) }
}

proctype controls() {
  bool known[THREADS];
  atomic { STEP(CONTROLS, S_insert); BEGIN_OPERATION(0) }
  atomic { STEP(CONTROLS, S_insert_publish); live = true }
  while_stopped(true);
  atomic { STEP(CONTROLS, S_insert_verify); armed[0] = true; END_OPERATION(0) }
  atomic { STEP(CONTROLS, S_remove); BEGIN_OPERATION(0) }
  while_stopped(false);
  atomic { STEP(CONTROLS, S_remove_dead); live = false }
  atomic { STEP(CONTROLS, S_remove_quiesce) }
  atomic { !inside[EXECUTES] && !inside[SPAWNED] }
  atomic { STEP(CONTROLS, S_remove_restore); armed[0] = false; END_OPERATION(0); at_work-- }
}

init {
  atomic {
    READ_TRACES;
    alive[EXECUTES] = true;
    alive[SPAWNS] = true;
    run executes();
    run spawns();
    run controls()
  }
}
