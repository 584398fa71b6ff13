/* Makes a store with many samples, of made-up logits, for tests/bench/million.py:  million FILE SAMPLES CLASSES */
#include <stdio.h>
#include <stdlib.h>

#include "app/state/estimates.h"

#define AT_ONCE 1000

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 24);
}

static int fail(const char *what)
{
    (void)fprintf(stderr, "million: %s\n", what);
    return 1;
}

static int fill(struct estimates *estimates, const char *id, uint64_t samples, size_t classes, struct infomask_error *err)
{
    struct estimate_item items[AT_ONCE];
    static char names[AT_ONCE][24];
    float *logits = calloc(AT_ONCE * classes, sizeof *logits);
    uint64_t random = 1, total = 0;

    for (uint64_t first = 0; logits != NULL && first < samples; first += AT_ONCE) {
        size_t n = samples - first < AT_ONCE ? (size_t)(samples - first) : AT_ONCE;
        for (size_t i = 0; i < n; i++) {
            float *z = logits + i * classes;
            uint32_t label = (uint32_t)((float)classes * uniform(&random));
            for (size_t y = 0; y < classes; y++)
                z[y] = 3 * uniform(&random);
            z[label] += 6 * uniform(&random);
            (void)snprintf(names[i], sizeof names[i], "%llu.jpg", (unsigned long long)(first + i));
            items[i] = (struct estimate_item){names[i], label, z, .added = false};
        }
        if (estimates_add(estimates, id, items, n, &total, err) != INFOMASK_OK) {
            free(logits);
            return fail(err->text);
        }
    }
    free(logits);
    return total == samples ? 0 : fail("not all samples were stored");
}

int main(int argc, char **argv)
{
    const struct estimates_options options = {.max_bytes = (uint64_t)4 << 30};
    struct estimate_info info = {.name = "million", .model = "synthetic", .version = "1", .sha256 = "0", .prior = "train"};
    struct estimates *estimates = NULL;
    struct infomask_error err;
    int code = 0;

    if (argc != 4)
        return fail("FILE SAMPLES CLASSES");
    info.spec.classes = (size_t)atol(argv[3]);
    if (estimates_open(argv[1], &options, &estimates, &err) != INFOMASK_OK ||
        estimates_create(estimates, &info, &err) != INFOMASK_OK)
        code = fail(err.text);
    if (code == 0)
        code = fill(estimates, info.id, (uint64_t)atoll(argv[2]), info.spec.classes, &err);
    estimate_info_fini(&info);
    estimates_close(estimates);
    return code;
}
