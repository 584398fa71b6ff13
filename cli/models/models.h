/* The subcommands of infomask models; each returns an exit code. */
#ifndef CLI_MODELS_MODELS_H
#define CLI_MODELS_MODELS_H

/* argv[0]: the subcommand's own name. */
int models_quantize(int argc, char **argv);
int models_add(int argc, char **argv);
int models_check(int argc, char **argv);
int models_fetch(int argc, char **argv);
int models_remove(int argc, char **argv);

#endif
