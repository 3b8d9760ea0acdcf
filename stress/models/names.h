/* The schedule points of the code, by number; scripts/models.py reads them, too. */
#define S_execute 1
#define S_insert 2
#define S_remove 3
#define S_trap_taken 4
#define S_trap_outside 5
#define S_trap_inside 6
#define S_trap_dead 7
#define S_trap_found 8
#define S_trap_leave 9
#define S_insert_publish 10
#define S_insert_verify 11
#define S_remove_dead 12
#define S_remove_quiesce 13
#define S_remove_restore 14
#define S_poke_store 15
#define S_poke_serialise 16
