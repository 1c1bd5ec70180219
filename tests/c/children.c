#define _GNU_SOURCE
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t child_start(void (*body)(void *), void *argument) {
    /* What is buffered would be printed by both. */
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        body(argument);
        exit(0);
    }
    return child;
}

void child_join(pid_t child) {
    int status = 0;
    pid_t ended;
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    CHECK_INT(ended, child);
    CHECK_INT(status, 0);
}

void child_run(void (*body)(void *), void *argument) {
    child_join(child_start(body, argument));
}

gate gate_new(void) {
    gate gate;
    CHECK_INT(pipe2(gate.ends, O_CLOEXEC), 0);
    return gate;
}

void gate_free(gate *gate) {
    close(gate->ends[0]);
    close(gate->ends[1]);
}

void gate_let_through(const gate *gate, int count) {
    for (int i = 0; i < count; i++)
        CHECK_INT(write(gate->ends[1], "", 1), 1);
}

void gate_pass(const gate *gate) {
    char byte;
    int ready;
    struct pollfd opened = {.fd = gate->ends[0], .events = POLLIN};
    do
        ready = poll(&opened, 1, PATIENCE_SECONDS * 1000);
    while (ready < 0 && errno == EINTR);
    CHECK_INT(ready, 1);
    CHECK_INT(read(gate->ends[0], &byte, 1), 1);
}
