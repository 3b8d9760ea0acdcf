/* Page swap (strategies/arm/pte_swap.cpp): two controllers, a site each, on one page (H05, H11); the page is copied, the
 * copy changed and moved over the original, which is stashed so that its mapping stays (H06); when the last probe goes,
 * the stash is moved back (H63).
 *
 * Properties: no hit lost (H05, H11), none while the site is clear, no fault in a gap (H06), no late trap taken for the program's own (H10), nothing left behind (H16, H63)
 * Scenario: strategy pte-swap/mremap+emulate
 * Scenario: bodies A=mov B=mov
 * Scenario: thread 0: run A
 * Scenario: thread 1: run B
 * Scenario: thread 2: insert A; remove A
 * Scenario: thread 3: insert B; remove B
 * Guard: KEEPS_NEIGHBOUR swap-loses-neighbour
 * Guard: BACK_WHEN_LAST swap-back-early
 * Guard: FROM_ORIGINAL swap-copies-armed-page
 * Guard: NO_GAP swap-leaves-gap
 * Guard: REMOVE_LOCKED remove-unlocked
 */
#include "step.inc"
#define SITES 2
#define THREADS 2
#define PASSAGE_FIRST 1
#define LOOK_AGAIN 1
#define RETRY 1
#define HEAVY_FENCE 1
#define QUIESCE 1
bool gap; /* nothing is mapped where the page was */
#define MAPPED (!gap)
#ifdef FULL /* a thread may hit again while a controller waits for its first hit's end */
#define ROUNDS (me == 0 -> 2 : 1)
#define SITE_OF(me, round) (me == 0 -> round : 1)
#else
#define ROUNDS 1
#define SITE_OF(me, round) me
#endif
#include "judge.inc"
#include "lock.inc"
#include "traps.inc"

bool known[SITES];   /* to the prober as armed */
bool in_copy[SITES]; /* to the armer: which bytes of the copy are int3 */
bool stashed;        /* there is a copy, and the original is elsewhere */

/* If the stash is not there any more, which takes somebody without the lock, it cannot be read, and nothing is done. */
inline put_copy(s, arming) {
  atomic {
    STEP(me, S_swap_copy);
    failed = !stashed;
    next[s] = arming;
    next[1 - s] = (FROM_ORIGINAL -> in_copy[1 - s] && (KEEPS_NEIGHBOUR || !arming) : int3[1 - s]);
    next[s] = next[s] || (!FROM_ORIGINAL && int3[s])
  }
  if
  :: failed || NO_GAP
  :: else -> atomic { STEP(me, S_swap_put); gap = true }
  fi;
  if
  :: failed
  :: else ->
     atomic {
       STEP(me, (NO_GAP -> S_swap_put : S_swap_gap));
       int3[0] = next[0];
       int3[1] = next[1];
       in_copy[s] = arming;
       in_copy[1 - s] = in_copy[1 - s] && (KEEPS_NEIGHBOUR || !arming);
       gap = false
     }
  fi
}

inline serialise() {
  atomic { STEP(me, S_swap_serialise) }
}

proctype controller(byte me; byte s) {
  byte before[THREADS];
  bool within[THREADS], next[SITES], mine, failed;
  atomic { STEP(me, S_insert); BEGIN_OPERATION(s); TRY_LOCK(1) }
  WAIT_FOR_LOCK;
  atomic { STEP(me, S_insert_publish); known[s] = true; record[s]++ }
  if
  :: stashed
  :: else -> atomic { STEP(me, S_swap_stash); stashed = true }
  fi;
  put_copy(s, true);
  serialise();
  atomic {
    STEP(me, S_insert_verify);
    failed = failed || !int3[s];
    record[s] = record[s] + failed;
    known[s] = !failed;
    armed[s] = !failed;
    END_OPERATION(s);
    UNLOCK(1)
  }

  atomic { STEP(me, S_remove); BEGIN_OPERATION(s); TRY_LOCK(REMOVE_LOCKED) }
  WAIT_FOR_LOCK;
  failed = false;
  if
  :: !known[s] -> atomic { END_OPERATION(s); UNLOCK(REMOVE_LOCKED); goto ended }
  :: known[s] && !int3[s] -> /* somebody has written there: nothing is put back */
     atomic {
       record[s] = record[s] + LIVE(s);
       known[s] = false;
       armed[s] = false;
       END_OPERATION(s);
       UNLOCK(REMOVE_LOCKED);
       goto ended
     }
  :: known[s] && int3[s] && !stashed -> assert(!BACK_WHEN_LAST) /* the page is none of the armer's */
  :: known[s] && int3[s] && stashed && in_copy[1 - s] && BACK_WHEN_LAST -> put_copy(s, false)
  :: else ->
     if
     :: NO_GAP
     :: else -> atomic { STEP(me, S_swap_back); gap = true }
     fi;
     atomic {
       STEP(me, (NO_GAP -> S_swap_back : S_swap_gap));
       int3[0] = false;
       int3[1] = false;
       in_copy[0] = false;
       in_copy[1] = false;
       stashed = false;
       gap = false
     }
  fi;
  serialise();
  if
  :: failed /* it stays armed */
  :: else -> atomic { STEP(me, S_remove_dead); record[s] = record[s] + LIVE(s); known[s] = false }
  fi;
  quiesce(S_remove_quiesce);
  atomic {
    STEP(me, S_remove_restore);
    if
    :: failed
    :: else -> int3[s] = false; armed[s] = false
    fi;
    /* The original is back with the last probe's removal (H16, H63). What unlocked removals leave, close() still finds. */
    assert(!REMOVE_LOCKED || stashed == (in_copy[0] || in_copy[1]));
    END_OPERATION(s);
    UNLOCK(REMOVE_LOCKED)
  }
ended:
  skip
}

init {
  atomic {
    READ_TRACES;
    run thread(0);
    run thread(1);
    run controller(2, 0);
    run controller(3, 1)
  }
}
