/* Runs a fuzz target over files and folders of inputs, without a fuzzer: corpora and past findings in `make test`. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static int run_file(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    uint8_t *data;

    if (file == NULL || fstat(fileno(file), &info) != 0 || (data = malloc((size_t)info.st_size + 1)) == NULL) {
        (void)fprintf(stderr, "%s cannot be read\n", path);
        return -1;
    }
    size_t size = fread(data, 1, (size_t)info.st_size, file);
    (void)fclose(file);
    uint8_t *exact = realloc(data, size > 0 ? size : 1); /* so that a read beyond the end is seen */
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

/* How many inputs were run; -1: something could not be read. */
static int run(const char *path)
{
    struct dirent **entries;
    char *inner;
    int total = 0, count = scandir(path, &entries, NULL, alphasort);

    if (count < 0)
        return run_file(path);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && total >= 0 && asprintf(&inner, "%s/%s", path, entries[i]->d_name) >= 0) {
            int more = run(inner);
            total = more < 0 ? -1 : total + more;
            free(inner);
        }
        free(entries[i]);
    }
    free(entries);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;

    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        int more = run(argv[i]);
        if (more < 0)
            return 1;
        total += more;
    }
    (void)printf("%s: %d inputs\n", argv[0], total);
    return total > 0 ? 0 : 1;
}
