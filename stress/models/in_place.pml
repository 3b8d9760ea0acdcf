/* Stepping in place by two threads (strategies/step/in_place.cpp): the byte is put back, one instruction is stepped, the
 * int3 is put in again. The code has no guard, and is broken as the mail says ("racy for multi-threading"): another
 * thread passes unseen (H20), or a thread traps again on its own site (H21). Held ALONE, the others stopped meanwhile, it
 * would be sound.
 *
 * Properties: no hit lost (H20), none twice (H21)
 * Scenario: strategy poke+in-place
 * Scenario: bodies A=mov
 * Scenario: armed A
 * Scenario: thread 0: run A
 * Scenario: thread 1: run A
 * Guard: ALONE itself
 */
#include "step.inc"
#define SITES 1
#define THREADS 2
#ifdef FULL
#define ROUNDS 3
#else
#define ROUNDS 1
#endif
#include "judge.inc"

bool int3 = true;
bool stepping; /* somebody hits, and the others wait, if they do */

proctype thread(byte me) {
  byte round, before;
  bool quiet, was_armed, hit;
  do
  :: round < ROUNDS ->
     atomic {
       (!stepping || !ALONE);
       STEP(me, S_execute);
       BEGIN_EXECUTION(0);
       if
       :: int3 -> stepping = true
       :: else -> goto executed
       fi
     }
trap:
     atomic { STEP(me, S_trap_taken) }
     atomic { STEP(me, S_trap_inside) }
     atomic { STEP(me, S_trap_found); COUNT(0) }
     atomic { STEP(me, S_in_place_restore); int3 = false }
     atomic {
       STEP(me, S_trap_leave);
       if
       :: int3 -> goto trap
       :: else
       fi
     }
     atomic { STEP(me, S_step_taken) }
     atomic { STEP(me, S_trap_inside) }
     atomic { STEP(me, S_in_place_reinsert); int3 = true }
     atomic { STEP(me, S_trap_leave); stepping = false }
executed:
     atomic { END_EXECUTION(0); round++ }
  :: else -> break
  od
}

init {
  atomic {
    READ_TRACES;
    armed[0] = true;
    run thread(0);
    run thread(1)
  }
}
