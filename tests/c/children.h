/* Forked children for the tests, and gates at which processes wait for each other. */

#ifndef CERTRELOAD_TEST_CHILDREN_H
#define CERTRELOAD_TEST_CHILDREN_H

#include "support.h"

#include <sys/types.h>

/* Runs the body in a forked child, which then exits with status 0. A child that hangs is killed. */
pid_t child_start(void (*body)(void *argument), void *argument);

/* Waits for the child to have exited with status 0. */
void child_join(pid_t child);

/* Both: for a child that nobody has to do anything beside. */
void child_run(void (*body)(void *argument), void *argument);

/* A gate lets through as many as it was told to, whatever process they are in. */
typedef struct {
    int ends[2];
} gate;

gate gate_new(void);
void gate_free(gate *gate);
void gate_let_through(const gate *gate, int count);
void gate_pass(const gate *gate);

#endif
