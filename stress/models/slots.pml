/* A slot for each thread and site (strategies/step/tls_slot.cpp, lent_memory.h): a thread that runs in one is interrupted
 * by a signal whose handler hits another site (H25), while both sites are removed, and the memory, which was lent, is
 * given back once nobody is in it.
 *
 * Properties: nobody runs another site's copy (H25), nor in memory that was given back, no hit lost, none while the site is clear
 * Scenario: strategy poke+tls-slot-nested
 * Scenario: bodies A=pop B=mov
 * Scenario: armed A B
 * Scenario: thread 0: run A
 * Scenario: thread 1: signal 0: run B
 * Scenario: thread 2: remove A B
 * Guard: OWN_SLOT tls-one-slot
 * Guard: KEPT_UNTIL_LEFT given-back-early
 */
#include "step.inc"
#define SITES 2
#define THREADS 2
#define HEAVY_FENCE 1
#define QUIESCE 1
#include "judge.inc"
#include "passages.inc"

bool int3[SITES], live[SITES];
byte content[SITES]; /* of each slot: whose copy, plus one */
bool lent;           /* the thread's memory may be executed */
byte within_slots;   /* executions that are in one, interrupted or not */
bool pending, sent;  /* the signal */

#define SLOT(s) (OWN_SLOT -> s : 0)
bool handling; /* the thread is in its signal handler, which is a process of its own here */
byte at_work = 2; /* who may still signal, or remove */

/* A pending signal is taken: on the way out of a trap, and where nothing holds it back. */
#define INTERRUPTION                                                                                                   \
  if                                                                                                                   \
  :: atomic { pending && !handling -> pending = false; handling = true };                                              \
     !handling                                                                                                         \
  :: atomic { !pending || handling }                                                                                   \
  fi

#define IN_SLOT(s)                                                                                                     \
  assert(lent && content[SLOT(s)] == s + 1);                                                                           \
  within_slots--;                                                                                                      \
  END_EXECUTION(s)
#ifdef FRESH
#define AT_ONCE 1 /* as in a controlled run, nothing comes between the way out of a trap and the slot but a signal */
#else
#define AT_ONCE 0
#endif

inline execution(s, interrupted) {
  atomic { BEGIN_EXECUTION(s) }
  do
  :: atomic { !int3[s] -> END_EXECUTION(s); break }
  :: atomic { int3[s] };
     atomic { STEP(0, S_trap_taken); ENTER(0) }
     atomic { STEP(0, S_trap_inside) }
     if
     :: atomic { live[s] };
        atomic { STEP(0, S_trap_found); COUNT(s); lent = true }
        if
        :: atomic { content[SLOT(s)] != s + 1 -> skip };
           atomic { STEP(0, S_tls_copy); content[SLOT(s)] = s + 1; LEAVE(0); within_slots++ }
        :: atomic { content[SLOT(s)] == s + 1 -> LEAVE(0); within_slots++ }
        fi;
        atomic {
          STEP(0, S_trap_leave);
          if
          :: AT_ONCE && !(interrupted && pending) -> IN_SLOT(s); break
          :: else
          fi
        }
        if
        :: interrupted -> INTERRUPTION
        :: else
        fi;
        atomic { IN_SLOT(s); break }
     :: atomic { !live[s] };
        atomic { STEP(0, S_trap_dead); assert(!int3[s]); LEAVE(0) }
        atomic { STEP(0, S_trap_leave) }
        if
        :: interrupted -> INTERRUPTION
        :: else
        fi
     fi
  od
}

proctype thread() {
  byte before;
  bool quiet, was_armed, hit;
  INTERRUPTION;
  atomic { STEP(0, S_execute) }
  INTERRUPTION;
  execution(0, true);
  do /* idle */
  :: pending && !handling -> INTERRUPTION
  :: atomic { at_work == 0 && !pending -> break }
  od
}

proctype handler() {
  byte before;
  bool quiet, was_armed, hit;
  if
  :: atomic { handling -> STEP(0, S_handler) }
  :: atomic { at_work == 0 && !pending && !handling -> goto ended }
  fi;
  execution(1, false);
  atomic { handling = false }
ended:
  skip
}

proctype sender() {
  atomic { STEP(1, S_signal); pending = true; at_work-- }
}

proctype controller() {
  byte before[THREADS];
  bool within[THREADS];
  byte me = 2;
  atomic { STEP(me, S_remove); BEGIN_OPERATION(0); BEGIN_OPERATION(1) }
  atomic { STEP(me, S_poke_store); int3[0] = false }
  atomic { STEP(me, S_poke_store); int3[1] = false }
  atomic { STEP(me, S_poke_serialise) }
  atomic { STEP(me, S_remove_dead); live[0] = false }
  atomic { STEP(me, S_remove_dead); live[1] = false }
  quiesce(S_remove_quiesce);
  atomic {
    STEP(me, S_remove_restore);
    lent = lent && KEPT_UNTIL_LEFT && within_slots != 0;
    armed[0] = false;
    armed[1] = false;
    END_OPERATION(0);
    END_OPERATION(1);
    at_work--
  }
}

init {
  atomic {
    READ_TRACES;
#ifndef FRESH
    if
    :: content[0] = 1; content[1] = 2 /* by an earlier run */
    :: content[0] = 1
    :: content[1] = 2
    :: skip
    fi;
#endif
    int3[0] = true;
    int3[1] = true;
    live[0] = true;
    live[1] = true;
    armed[0] = true;
    armed[1] = true;
    run thread();
    run handler();
    run sender();
    run controller()
  }
}
