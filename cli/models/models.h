/* The subcommands of infomask models; each returns an exit code. */
#ifndef CLI_MODELS_MODELS_H
#define CLI_MODELS_MODELS_H

#include <stdbool.h>

/* argv[0]: the subcommand's own name. */
int models_quantize(int argc, char **argv);
int models_add(int argc, char **argv);
int models_check(int argc, char **argv);
int models_fetch(int argc, char **argv);
int models_remove(int argc, char **argv);

/* A side, or WIDTHxHEIGHT, as --size takes it; false: it is no such, and told. */
bool models_take_size(const char *command, const char *text, int *width, int *height);

#endif
