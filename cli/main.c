#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/json/nearest.h"
#include "cli/cli.h"
#include "core/infomask.h"

#define MOST_HEAP_BLOCK (256 * 1024) /* what is larger goes back to the system as soon as it is freed */

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, summary) {#name, summary, cmd_##name},
    CLI_COMMANDS(COMMAND)
#undef COMMAND
};

static void print_help(FILE *stream)
{
    (void)fprintf(stream,
                  "Usage: infomask COMMAND [OPTION]...\n\n"
                  "A photo in; class probabilities, mutual information, a mask of where the information is, and a\n"
                  "filtered photo out.\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(stream, "\nEach has its own --help (or: infomask help COMMAND).  Exit codes: 0 done, 1 failed, 2 "
                          "wrong usage, 3 less than --require.\n");
}

/* OpenBLAS makes threads and chooses its kernels as it is loaded, before main, and only the environment can tell it
 * otherwise.  Its threads would be a second pool beside ours, and take the signals that ours block; a processor that is
 * newer than itself it takes for one without AVX2, several times slower. */
static void start_again_for_blas(char **argv)
{
    static const char threads[] = "OPENBLAS_NUM_THREADS", core[] = "OPENBLAS_CORETYPE";
    const char *set = getenv(threads), *better;
    char self[PATH_MAX];
    ssize_t length;

    (void)infomask_openblas_core(&better);
    better = getenv(core) == NULL ? better : NULL;
    if (set != NULL && strcmp(set, "1") == 0 && better == NULL)
        return;
    length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0 || setenv(threads, "1", 1) != 0 || (better != NULL && setenv(core, better, 1) != 0))
        return;
    self[length] = '\0';
    (void)execv(self, argv); /* where that cannot be, we go on as we are */
}

/* A standard descriptor that is closed would become that of the next file or client that is opened: what is written to
 * standard error would then go there.  Standard output stays one that cannot be written to: an answer that nobody gets
 * is a failure. */
static bool hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd)
            return false;
    return true;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    struct nearest nearest = nearest_begin(name);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        nearest_offer(&nearest, commands[i].name);
    if (name[0] != '\0' && nearest.name != NULL)
        (void)fprintf(stderr, "infomask: there is no command \"%s\"; did you mean \"%s\"?\n\n", name, nearest.name);
    else if (name[0] != '\0')
        (void)fprintf(stderr, "infomask: there is no command \"%s\"\n\n", name);
    print_help(stderr);
    return CLI_USAGE;
}

/* infomask help [COMMAND [SUBCOMMAND]] */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    const struct command *command = argc > 2 ? find_command(argv[2]) : NULL;

    if (argc <= 2 || strcmp(argv[2], "help") == 0) {
        print_help(stdout);
        return CLI_DONE;
    }
    if (command == NULL)
        return unknown_command(argv[2]);
    return argc > 3 ? command->run(3, (char *[]){argv[2], argv[3], option, NULL})
                    : command->run(2, (char *[]){argv[2], option, NULL});
}

/* What standard output did not take, and nobody has told yet, is a failure. */
static int end(int code)
{
    if (code == CLI_CUT)
        _exit(CLI_FAILED);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code == CLI_DONE) {
        (void)fprintf(stderr, "infomask: standard output: cannot be written: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command;

    if (!hold_standard_descriptors())
        return CLI_FAILED;
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow (ulimit -f) is a write that failed, as on a full disk */
    start_again_for_blas(argv);
    (void)mallopt(M_MMAP_THRESHOLD, MOST_HEAP_BLOCK);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return end(help(argc, argv));
    if (strcmp(name, "--version") == 0) {
        (void)printf("infomask %s\n", INFOMASK_VERSION);
        return end(CLI_DONE);
    }
    command = find_command(name);
    return command != NULL ? end(command->run(argc - 1, argv + 1)) : unknown_command(name);
}
