/* The site table and quiescence (harness/trap): publish, look up, remove, use again, with traps that were taken but not
 * looked up yet (H10, H18), several controllers (H11), and removals that return only when nobody is inside (H36).
 *
 * Properties: no hit lost, none while the site is clear (H11, H36), no trap taken for the program's own (H10, H18)
 * Scenario: strategy poke+emulate
 * Scenario: bodies A=mov
 * Scenario: thread 0: run A
 * Scenario: thread 1: insert A; remove A
 * Scenario: thread 2: insert A; remove A
 * Guard: PUBLISH_FIRST publishes-late
 * Guard: DEAD_LAST dead-before-disarmed
 * Guard: LOOK_AGAIN look-not-repeated
 * Guard: RETRY late-trap-is-foreign
 * Guard: PASSAGE_FIRST passage-after-lookup
 * Guard: QUIESCE no-quiescence
 * Guard: INSERT_LOCKED insert-unlocked
 * Guard: HEAVY_FENCE not-observable
 */
#include "step.inc"
#ifdef FULL
#define SITES 2
#else
#define SITES 1
#endif
#define THREADS 2
#include "judge.inc"
#include "lock.inc"
#include "traps.inc"

bool known[SITES]; /* to the prober as armed */

inline insert(s) {
  atomic { STEP(me, S_insert); BEGIN_OPERATION(s); TRY_LOCK(INSERT_LOCKED) }
  WAIT_FOR_LOCK;
  if
  :: known[s] -> atomic { END_OPERATION(s); UNLOCK(INSERT_LOCKED) }
  :: else ->
     atomic {
       STEP(me, S_insert_publish);
       known[s] = true;
       record[s] = record[s] + (PUBLISH_FIRST && !LIVE(s))
     }
     atomic { STEP(me, S_poke_store); int3[s] = true }
     atomic { STEP(me, S_poke_serialise); record[s] = record[s] + (!PUBLISH_FIRST && !LIVE(s)) }
     atomic { /* refused if the byte is not there any more */
       STEP(me, S_insert_verify);
       record[s] = record[s] + (!int3[s] && LIVE(s));
       known[s] = int3[s];
       armed[s] = int3[s];
       END_OPERATION(s);
       UNLOCK(INSERT_LOCKED)
     }
  fi
}

inline remove(s) {
  atomic { STEP(me, S_remove); BEGIN_OPERATION(s); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  atomic { record[s] = record[s] + (known[s] && !DEAD_LAST) }
  if
  :: !known[s] -> atomic { END_OPERATION(s); UNLOCK(1) }
  :: else ->
     atomic { STEP(me, S_poke_store); int3[s] = false }
     atomic { STEP(me, S_poke_serialise) }
     atomic { STEP(me, S_remove_dead); record[s] = record[s] + DEAD_LAST; known[s] = false }
     quiesce(S_remove_quiesce);
     atomic { STEP(me, S_remove_restore); int3[s] = false; armed[s] = false; END_OPERATION(s); UNLOCK(1) }
  fi
}

proctype controller(byte me) {
  byte before[THREADS];
  bool within[THREADS], mine;
  insert(0);
  remove(0);
  if
  :: me == 3 -> insert(SITES - 1) /* FULL only */
  :: else
  fi
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
#ifdef FULL
    run thread(1);
    run controller(2);
    run controller(3)
#else
    run controller(1);
    run controller(2)
#endif
  }
}
