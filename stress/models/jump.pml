/* A jump of several bytes is written int3 first (strategies/whole/jump_writer.cpp), while threads execute the site, on
 * cores that fetch its first byte and its tail apart, as where it straddles a line, and may hold what they fetched before
 * (H03, H17; SDM vol. 3A, 9.1.3; arch/x86/kernel/alternative.c, text_poke_bp). What no core may execute is a first byte
 * of one instruction with the tail of another.
 *
 * Properties: no torn instruction (H01, H17), no hit lost, none while the site is clear, no trap taken for the program's own (H18)
 * Scenario: strategy jump
 * Scenario: bodies A=nop5
 * Scenario: thread 0: run A
 * Scenario: thread 1: run A
 * Scenario: thread 2: insert A; remove A
 * Guard: INT3_FIRST jump-without-int3
 * Guard: AFTER_INT3 not-observable
 * Guard: AFTER_TAIL not-observable
 * Guard: AFTER_FIRST not-observable
 * Guard: NOTED jump-patching-not-noted
 * Guard: LIVE_LOOKED_AT jump-counts-when-dead
 * Guard: QUIESCE jump-removal-does-not-wait
 */
#include "step.inc"
#define SITES 1
#define THREADS 2
#define HEAVY_FENCE 1
#define ROUNDS 1
#include "judge.inc"
#include "lock.inc"
#include "passages.inc"

mtype = { old, trap, jump };
mtype first = old, tail = old;                          /* in memory */
mtype first_of[THREADS] = old, tail_of[THREADS] = old;  /* as the core has fetched them */
bool live, patching, known;
/* After close the program has its own SIGTRAP action again; close waits for who has trapped (harness/trap/departure.h). */
bool closed, trapped[THREADS];
#ifdef FULL
byte controllers = 2; /* at work */
#else
byte controllers = 1;
#endif

#define SERIALISED(me)                                                                                                 \
  first_of[me] = first;                                                                                                \
  tail_of[me] = tail
#ifdef FRESH
#define PREFETCH(me) skip
#define FETCHED(me) SERIALISED(me)
#else
#define FETCHED(me) skip
#define PREFETCH(me)                                                                                                   \
  if                                                                                                                   \
  :: first_of[me] = first                                                                                              \
  :: skip                                                                                                              \
  fi;                                                                                                                  \
  if                                                                                                                   \
  :: tail_of[me] = tail                                                                                                \
  :: skip                                                                                                              \
  fi
#endif
#define SERIALISE_IF(guard)                                                                                            \
  if                                                                                                                   \
  :: guard -> atomic { SERIALISED(0); SERIALISED(1) }                                                                  \
  :: else                                                                                                              \
  fi

proctype thread(byte me) {
  byte round, before;
  bool quiet, was_armed, hit;
  do
  :: round < ROUNDS ->
     atomic { STEP(me, S_execute); BEGIN_EXECUTION(0); PREFETCH(me); goto fetch }
fetch:
     atomic {
       FETCHED(me);
       if
       :: first_of[me] == trap -> assert(!closed); trapped[me] = true
       :: first_of[me] != trap -> assert(first_of[me] == tail_of[me]); /* not torn */
          if
          :: first_of[me] == jump -> goto hitting
          :: else -> goto executed
          fi
       fi
     }
     atomic {
       STEP(me, S_jump_trap);
       trapped[me] = false;
       if
       :: patching
       :: else ->
          assert(first != trap); /* else the trap is taken for the program's own */
          SERIALISED(me);
          goto fetch
       fi
     }
hitting:
     atomic { STEP(me, S_jump_hit); ENTER(me) }
     atomic {
       STEP(me, S_jump_inside);
       if
       :: live || !LIVE_LOOKED_AT
       :: else -> LEAVE(me); SERIALISED(me); goto executed
       fi
     }
     atomic { STEP(me, S_jump_found); COUNT(0); LEAVE(me); SERIALISED(me) }
executed:
     atomic { END_EXECUTION(0); round++ }
  :: else -> break
  od
}

/* A write is seen before the serialisation that follows it. */
inline write(bytes) {
  atomic { STEP(me, S_jump_begin); patching = NOTED }
  atomic { STEP(me, (INT3_FIRST -> S_jump_int3 : S_jump_none)); first = (INT3_FIRST -> trap : first) }
  SERIALISE_IF(AFTER_INT3);
  atomic { STEP(me, S_jump_tail); tail = bytes }
  SERIALISE_IF(AFTER_TAIL);
  atomic { STEP(me, S_jump_first); first = bytes }
  SERIALISE_IF(AFTER_FIRST)
}

proctype controller(byte me) {
  byte before[THREADS];
  bool within[THREADS], mine;
  atomic { STEP(me, S_insert); BEGIN_OPERATION(0); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  if
  :: known -> atomic { END_OPERATION(0); UNLOCK(1) }
  :: else ->
     atomic { STEP(me, S_jump_live); live = true; known = true }
     write(jump);
     atomic { STEP(me, S_jump_end); patching = false; armed[0] = true; END_OPERATION(0); UNLOCK(1) }
  fi;
  atomic { STEP(me, S_remove); BEGIN_OPERATION(0); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  if
  :: !known -> atomic { STEP(me, S_jump_quiesce); END_OPERATION(0); UNLOCK(1) }
  :: else ->
     write(old);
     atomic { STEP(me, S_jump_end); patching = false }
     atomic { STEP(me, S_jump_dead); live = false }
     quiesce(S_jump_quiesce);
     atomic { known = false; armed[0] = false; END_OPERATION(0); UNLOCK(1) }
  fi;
  controllers--
}

proctype closer() {
  atomic { controllers == 0 && !known && !trapped[0] && !trapped[1] -> closed = true }
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
    run thread(1);
    run controller(2);
#ifdef FULL
    run controller(3);
#endif
    run closer()
  }
}
