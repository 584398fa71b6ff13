/* The command line: one file per command, and what they share.
 *
 * Exit codes: 0 done, 1 failed (a sentence on standard error says why), 2 wrong usage, 3 done, but not what --require
 * asks; 128 and the signal's number when one ended a run over many photos.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_SHORT = 3,
    CLI_CUT = 256 /* failed, and threads still work: the process ends at once, nothing is freed under them */
};

/* X(name, summary): the commands, in the order of the help; each is cmd_NAME(argc, argv), argv[0] its own name. */
#define CLI_COMMANDS(X)                                                     \
    X(serve, "run the HTTP service")                                        \
    X(classify, "class, probability and information of photos")   \
    X(mask, "where the information about a class is: JSON or PNG")          \
    X(filter, "photos with an object removed, or only it kept, verified")   \
    X(evaluate, "score masks: against truths, and by the model")            \
    X(estimate, "mutual information of labelled photos and their classes")  \
    X(train, "teach a network classes of one's own, and measure it")        \
    X(models, "list the models and their classes")                          \
    X(run, "put a raw tensor through a network")                            \
    X(bench, "time a network")                                              \
    X(config, "show the settings in force and where each is from")          \
    X(keys, "make an API key")                                              \
    X(doctor, "look whether the service would start and serve")             \
    X(healthcheck, "ask a running service whether it is ready")             \
    X(version, "show the version, the instruction set and the libraries")

#define CLI_DECLARE(name, summary) int cmd_##name(int argc, char **argv);
CLI_COMMANDS(CLI_DECLARE)
#undef CLI_DECLARE
/* infomask models calibrate, which is with the estimates because labelled photos are classified there. */
int models_calibrate(int argc, char **argv);

/* "infomask COMMAND: sentence" on standard error; returns CLI_FAILED. */
int cli_fails(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with a pointer to --help; returns CLI_USAGE. */
int cli_misused(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "infomask: warning: sentence" on standard error; the shape of model_options.warn. */
void cli_warns(void *unused, const char *sentence);

/* The status of GET /readyz at the address of a setting `listen` (one, without a port); 0: nobody answers HTTP there.
 */
int healthcheck_ask(const char *listen, int port, double seconds);

#endif
