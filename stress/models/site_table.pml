/* The site table and quiescence (harness/trap): publish, look up, remove, use again, with traps that were taken but not
 * looked up yet (H10, H18), several controllers (H11), and removals that return only when nobody is inside (H36).
 *
 * Properties: no hit lost, none spurious or twice, no trap taken for the program's own, no deadlock
 * Program: {"strategy": "poke+emulate", "bodies": ["mov@0"], "threads": [["x0"], ["x0"], ["+0", "-0"], ["+0", "-0"]]}
 * Guard: PUBLISH_FIRST publishes-late
 * Guard: DEAD_LAST dead-before-disarmed
 * Guard: LOOK_AGAIN look-not-repeated
 * Guard: RETRY late-trap-is-foreign
 * Guard: PASSAGE_FIRST passage-after-lookup
 * Guard: QUIESCE no-quiescence
 * Guard: INSERT_LOCKED insert-unlocked
 */
#include "step.h"
#ifdef FULL
#define SITES 2
#else
#define SITES 1
#endif
#define THREADS 2
#include "judge.h"

bool int3[SITES];       /* the byte at the site */
byte record[SITES];     /* odd: live */
bool known[SITES];      /* to the prober as armed */
bool inside[THREADS];   /* in a passage */
byte passages[THREADS]; /* that have ended */
bool locked;

#define LIVE(s) (record[s] % 2 == 1)

proctype thread(byte me) {
  byte site, before, seen;
  bool quiet, was_armed, hit;
  do
  :: site < SITES ->
     atomic {
       STEP(me, S_execute);
       BEGIN_EXECUTION(site);
       if
       :: int3[site]
       :: else -> goto executed
       fi
     }
trap:
     atomic {
       STEP(me, S_trap_taken);
       seen = record[site];
       inside[me] = PASSAGE_FIRST
     }
     if
     :: PASSAGE_FIRST
     :: else -> atomic { STEP(me, S_trap_outside); inside[me] = true }
     fi;
     atomic {
       STEP(me, S_trap_inside);
       if
       :: PASSAGE_FIRST -> seen = record[site]
       :: else
       fi;
       if
       :: seen % 2 == 1 -> goto found
       :: else
       fi
     }
dead:
     atomic {
       STEP(me, S_trap_dead);
       if
       :: !int3[site] -> /* the race to a removal is lost: once more */
          assert(RETRY);
          inside[me] = false;
          passages[me]++;
          goto leave
       :: int3[site] && (record[site] == seen || !LOOK_AGAIN) ->
          assert(false) /* taken for the program's own: it ends by SIGTRAP */
       :: else ->
          seen = record[site];
          if
          :: seen % 2 == 1 -> goto found
          :: else -> goto dead
          fi
       fi
     }
found:
     atomic {
       STEP(me, S_trap_found);
       COUNT(site);
       inside[me] = false;
       passages[me]++
     }
leave:
     atomic {
       STEP(me, S_trap_leave);
       if
       :: !hit && int3[site] -> goto trap
       :: else
       fi
     }
executed:
     atomic {
       END_EXECUTION(site);
       site++
     }
  :: else -> break
  od
}

inline insert(s) {
  atomic { STEP(me, S_insert); BEGIN_OPERATION(s) }
  atomic { !locked || !INSERT_LOCKED -> locked = true }
  if
  :: known[s]
  :: else ->
     atomic {
       STEP(me, S_insert_publish);
       known[s] = true;
       record[s] = record[s] + (PUBLISH_FIRST && !LIVE(s))
     }
     atomic { STEP(me, S_poke_store); int3[s] = true }
     atomic { STEP(me, S_poke_serialise); record[s] = record[s] + (!PUBLISH_FIRST && !LIVE(s)) }
     atomic { STEP(me, S_insert_verify); assert(int3[s]); armed[s] = true }
  fi;
  atomic { END_OPERATION(s); locked = false }
}

inline remove(s) {
  atomic { STEP(me, S_remove); BEGIN_OPERATION(s) }
  atomic { !locked -> locked = true; record[s] = record[s] + (known[s] && !DEAD_LAST) }
  if
  :: !known[s]
  :: else ->
     atomic { STEP(me, S_poke_store); int3[s] = false }
     atomic { STEP(me, S_poke_serialise) }
     atomic { STEP(me, S_remove_dead); record[s] = record[s] + DEAD_LAST; known[s] = false }
     atomic {
       STEP(me, S_remove_quiesce);
       within[0] = inside[0] && QUIESCE;
       within[1] = inside[1] && QUIESCE;
       before[0] = passages[0];
       before[1] = passages[1]
     }
     !within[0] || !inside[0] || passages[0] != before[0];
     !within[1] || !inside[1] || passages[1] != before[1];
     atomic { STEP(me, S_remove_restore); armed[s] = false }
  fi;
  atomic { END_OPERATION(s); locked = false }
}

proctype controller(byte me) {
  byte before[THREADS];
  bool within[THREADS];
  insert(0);
  remove(0);
  if
  :: me == 2 && SITES == 2 -> insert(SITES - 1)
  :: else
  fi
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
    run thread(1);
    run controller(2);
    run controller(3)
  }
}
