/* infomask models quantize, as a command of its own. */
#ifndef CLI_QUANTIZE_H
#define CLI_QUANTIZE_H

/* argv[0]: "quantize". */
int models_quantize(int argc, char **argv);

#endif
