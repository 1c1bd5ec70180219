/*
 * A set-user-ID program ignores the environment: the caller must not choose whom it trusts. A copy
 * of this program asks for the platform's roots; with the set-user-ID bit, and without it.
 */

#define _GNU_SOURCE
#include "process.h"

#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { NOBODY = 65534, ORDINARY = 0, MORE_RIGHTS = 1, HAS_NO_LIBRARY = 127 };

static const char callers_file[] = "/nonexistent/callers-roots.pem";

/* In the copy. The exit status says whether the kernel gave the process more rights than its caller
 * has, and standard output which roots it has got. */
static int report_platform_roots(void) {
    certreload_options *options = certreload_options_new();
    certreload_options_set_platform_roots(options);
    if (certreload_check(options) == CERTRELOAD_RESULT_OK)
        puts("the roots of the system");
    else
        puts(certreload_last_error());
    certreload_options_free(options);
    return getauxval(AT_SECURE) != 0 ? MORE_RIGHTS : ORDINARY;
}

/* Runs the copy as nobody, with the variable set to the caller's file; gives its exit status. */
static int run_copy(const char *copy, const char *variable, char *output, size_t size) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
        char *arguments[] = {(char *)copy, (char *)"report", NULL};
        char *environment[] = {(char *)variable, NULL};
        if (setgid(NOBODY) == 0 && setuid(NOBODY) == 0)
            execve(copy, arguments, environment);
        _exit(HAS_NO_LIBRARY);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t count; (count = read(ends[0], output + length, size - 1 - length)) > 0;)
        length += (size_t)count;
    output[length] = '\0';
    close(ends[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "report") == 0)
        return report_platform_roots();
    test_begin("set_user_id_program_ignores_the_environment");
    if (geteuid() != 0 || is_under_a_tool()) {
        puts("NOT TESTED: only root can make a set-user-ID program of root's; no tool can run it");
        return 0;
    }
    const char *copy = scratch("copy");
    shell("cp '%s' copy", shell_line("readlink /proc/%d/exe", (int)getpid()));
    CHECK(chmod(scratch("."), 0711) == 0);
    char variable[64], output[1024];
    snprintf(variable, sizeof variable, "SSL_CERT_FILE=%s", callers_file);

    /* Without the bit, the caller's file is meant. The copy may find no library as nobody. */
    CHECK(chmod(copy, 0755) == 0);
    if (run_copy(copy, variable, output, sizeof output) == HAS_NO_LIBRARY) {
        puts("NOT TESTED: the user nobody may not run a copy of this program");
        return 0;
    }
    CHECK_CONTAINS(output, callers_file);

    CHECK(chmod(copy, 04755) == 0);
    if (run_copy(copy, variable, output, sizeof output) != MORE_RIGHTS) {
        puts("NOT TESTED: the kernel ignores the set-user-ID bit here (nosuid, no_new_privs)");
        return 0;
    }
    CHECK(strstr(output, callers_file) == NULL);

    /* Nor is SSL_CERT_DIR read, which counts if the system has no bundle of roots. */
    CHECK_INT(run_copy(copy, "SSL_CERT_DIR=/nonexistent", output, sizeof output), MORE_RIGHTS);
    CHECK(strstr(output, "/nonexistent") == NULL);
    return 0;
}
