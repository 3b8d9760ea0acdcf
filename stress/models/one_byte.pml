/* One byte is armed and disarmed, in place (strategies/arm/poke.cpp), while cores execute it that may hold what they
 * fetched before (H01, H02). What they hold is let go when they serialise: on the way out of a trap (IRET), and by the
 * controller's membarrier (SDM vol. 3A, 9.1.3 "Handling Self- and Cross-Modifying Code"; membarrier(2), SYNC_CORE). That
 * the byte is old or new, whenever it is fetched, is assumed.
 *
 * Properties: no hit lost once insert has returned (H02), none while the site is clear, no late trap taken for the program's own (H10), no trap after close
 * Scenario: strategy poke+emulate
 * Scenario: bodies A=mov
 * Scenario: thread 0: run A; run A
 * Scenario: thread 1: run A; run A
 * Scenario: thread 2: insert A; remove A
 * Guard: SERIALISES_ARMED not-observable
 * Guard: SERIALISES_CLEAR not-observable
 * Guard: RETRY late-trap-is-foreign
 */
#include "step.inc"
#ifdef FULL
#define SITES 2
#define SITE_OF(me, round) round
#else
#define SITES 1
#define SITE_OF(me, round) 0
#endif
#define THREADS 2
#define PASSAGE_FIRST 1
#define LOOK_AGAIN 1
#define HEAVY_FENCE 1
#define QUIESCE 1
bool fetched[THREADS * SITES]; /* what the core found at the site when it last looked: an int3 */
#define FETCH(me, s) fetched[(me) * SITES + (s)]
#define SERIALISED(me)                                                                                                 \
  FETCH(me, 0) = int3[0];                                                                                              \
  FETCH(me, SITES - 1) = int3[SITES - 1]
#ifdef FRESH
#define PREFETCH(me) SERIALISED(me)
#else
#define PREFETCH(me)                                                                                                   \
  if                                                                                                                   \
  :: FETCH(me, site) = int3[site]                                                                                      \
  :: skip                                                                                                              \
  fi
#endif
/* After close the program has its own SIGTRAP action again; close waits for who has trapped (harness/trap/departure.h). */
bool closed, trapped[THREADS];
#define TRAPPED(me)                                                                                                    \
  assert(!closed);                                                                                                     \
  trapped[me] = true
#define RETURNED(me) trapped[me] = false
#define ROUNDS 2
#include "judge.inc"
#include "lock.inc"
#include "traps.inc"
byte at_work = SITES; /* controllers */

inline serialise_cores(s) {
  atomic {
    STEP(me, S_poke_serialise);
    if
    :: (int3[s] -> SERIALISES_ARMED : SERIALISES_CLEAR) -> SERIALISED(0); SERIALISED(1)
    :: else
    fi
  }
}

proctype controller(byte me; byte s) {
  byte before[THREADS];
  bool within[THREADS], mine;
  atomic { STEP(me, S_insert); BEGIN_OPERATION(s); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  atomic { STEP(me, S_insert_publish); record[s]++ }
  atomic { STEP(me, S_poke_store); int3[s] = true }
  serialise_cores(s);
  atomic { STEP(me, S_insert_verify); armed[s] = true; END_OPERATION(s); UNLOCK(1) }
  atomic { STEP(me, S_remove); BEGIN_OPERATION(s); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  atomic { STEP(me, S_poke_store); int3[s] = false }
  serialise_cores(s);
  atomic { STEP(me, S_remove_dead); record[s]++ }
  quiesce(S_remove_quiesce);
  atomic { STEP(me, S_remove_restore); int3[s] = false; armed[s] = false; END_OPERATION(s); UNLOCK(1); at_work-- }
}

proctype closer() {
  atomic { at_work == 0 && !trapped[0] && !trapped[1] -> closed = true }
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
    run thread(1);
    run controller(2, 0);
#ifdef FULL
    run controller(3, 1);
#endif
    run closer()
  }
}
