/* One byte is armed and disarmed, in place (strategies/arm/poke.cpp), while cores execute it that may hold what they fetched before (H01, H02). What they hold is let go when they serialise:
 * on the way out of a trap (IRET), and by the controller's membarrier (SDM vol. 3A, 9.1.3 "Handling Self- and
 * Cross-Modifying Code"; membarrier(2), SYNC_CORE). Old or new, the byte is whole: an aligned byte is.
 *
 * Properties: no hit lost once insert has returned, none once remove has, no trap taken for the program's own, no deadlock
 * Program: {"strategy": "poke+emulate", "bodies": ["mov@0"], "threads": [["x0", "x0"], ["x0", "x0"], ["+0", "-0"]]}
 * Guard: SERIALISES_ARMED not-observable
 * Guard: SERIALISES_CLEAR not-observable
 * Guard: RETRY late-trap-is-foreign
 */
#include "step.inc"
#define SITES 1
#define THREADS 2
#define PASSAGE_FIRST 1
#define LOOK_AGAIN 1
#define HEAVY_FENCE 1
#define QUIESCE 1
bool fetched[THREADS]; /* what the core found at the site when it last looked: an int3 */
#define FETCH(me, s) fetched[me]
#define SERIALISED(me) fetched[me] = int3[0]
#ifdef FRESH
#define PREFETCH(me) SERIALISED(me)
#else
#define PREFETCH(me)                                                                                                   \
  if                                                                                                                   \
  :: SERIALISED(me)                                                                                                    \
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
#define SITE_OF(me, round) 0
#include "judge.inc"
#include "traps.inc"

inline serialise_cores() {
  atomic {
    STEP(me, S_poke_serialise);
    if
    :: (int3[0] -> SERIALISES_ARMED : SERIALISES_CLEAR) -> SERIALISED(0); SERIALISED(1)
    :: else
    fi
  }
}

inline insert() {
  atomic { STEP(me, S_insert); BEGIN_OPERATION(0) }
  atomic { STEP(me, S_insert_publish); record[0]++ }
  atomic { STEP(me, S_poke_store); int3[0] = true }
  serialise_cores();
  atomic { STEP(me, S_insert_verify); armed[0] = true; END_OPERATION(0) }
}

proctype controller(byte me) {
  byte before[THREADS];
  bool within[THREADS];
  insert();
  atomic { STEP(me, S_remove); BEGIN_OPERATION(0) }
  atomic { STEP(me, S_poke_store); int3[0] = false }
  serialise_cores();
  atomic { STEP(me, S_remove_dead); record[0]++ }
  quiesce(S_remove_quiesce);
  atomic { STEP(me, S_remove_restore); armed[0] = false; END_OPERATION(0) }
  atomic { !trapped[0] && !trapped[1] -> closed = true }
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
    run thread(1);
    run controller(2)
  }
}
