/* The label audit on logits from a file, for tests/bench/audit.py:
 *
 *   audit FILE      int32 n, int32 K, float32 z [n][K], int32 labels [n]; uniform prior
 *
 * Prints the cut's threshold, its expected count and the temperature, then n lines: PMI of the sample's label, and how many
 * right labels would lie as low.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/info/audit.h"
#include "core/info/info.h"

struct set {
    size_t n, k;
    float *z;
    uint32_t *labels;
    uint64_t *fold;
    double *log_prior, *pmi, *expected, *row;
};

static int set_read(struct set *set, const char *path)
{
    FILE *file = fopen(path, "rb");
    int32_t size[2];

    if (file == NULL || fread(size, sizeof *size, 2, file) != 2 || size[0] < 1 || size[1] < 1)
        return 0;
    set->n = (size_t)size[0];
    set->k = (size_t)size[1];
    set->z = calloc(set->n * set->k, sizeof *set->z);
    set->labels = calloc(set->n, sizeof *set->labels);
    set->fold = calloc(set->n, sizeof *set->fold);
    set->log_prior = calloc(set->k, 2 * sizeof(double));
    set->pmi = calloc(set->n, 2 * sizeof(double));
    if (set->z == NULL || set->labels == NULL || set->fold == NULL || set->log_prior == NULL || set->pmi == NULL)
        return 0;
    set->row = set->log_prior + set->k;
    set->expected = set->pmi + set->n;
    for (size_t i = 0; i < set->n; i++)
        set->fold[i] = i;
    for (size_t y = 0; y < set->k; y++)
        set->log_prior[y] = -log((double)set->k);
    return fread(set->z, sizeof *set->z, set->n * set->k, file) == set->n * set->k &&
           fread(set->labels, sizeof *set->labels, set->n, file) == set->n && fclose(file) == 0;
}

static double expected_at(const struct set *set, double pmi)
{
    size_t i = 0;

    while (i + 1 < set->n && set->pmi[i] < pmi - 1e-9)
        i++;
    return set->expected[i];
}

int main(int argc, char **argv)
{
    struct set set = {0};
    struct info_audit audit;

    if (argc != 2 || !set_read(&set, argv[1]) ||
        info_audit(&(struct info_audit_set){set.z, set.labels, set.fold, set.n, set.k, set.log_prior}, set.pmi,
                   set.expected, &audit, NULL) !=
            INFOMASK_OK)
        return 1;
    (void)printf("%.17g %.17g %.17g\n", audit.threshold, audit.expected, audit.temperature);
    for (size_t i = 0; i < set.n; i++) {
        double pmi;
        info_log_posterior(set.z + i * set.k, NULL, NULL, set.k, set.row);
        pmi = set.row[set.labels[i]] - set.log_prior[set.labels[i]];
        (void)printf("%.17g %.17g\n", pmi, expected_at(&set, pmi));
    }
    return 0;
}
