/* Einsum of one or two terms: transpositions and one product of matrices. */
#include <stdio.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

struct einsum {
    char in[2][GRAPH_MAX_RANK + 1], out[GRAPH_MAX_RANK + 1];
    int terms;
};

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* How many dimensions the dots of a term stand for, by the rank of its input; -1: none fits. */
static int dots_of(const char *text, int term, int rank)
{
    for (; term > 0 && *text; text++)
        term -= *text == ',';
    for (; *text && *text != ',' && *text != '-'; text++)
        rank -= is_letter(*text);
    return rank < 0 || rank > GRAPH_MAX_RANK ? -1 : rank;
}

/* "ab,bc->ac", dots for the first dimensions; the output's letters in order where the file leaves them out.  The
 * dimensions of dots are called 0 to 7, the last one 7. */
static bool parse_einsum(const char *text, const int ranks[2], struct einsum *e)
{
    const char *whole = text;
    int at = 0, term = 0, most = 0;
    bool arrow = false;

    memset(e, 0, sizeof *e);
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        if (strncmp(text, "...", 3) == 0) {
            int dots = arrow ? most : dots_of(whole, term, ranks[term]);
            most = dots > most ? dots : most;
            for (int i = GRAPH_MAX_RANK - dots; dots >= 0 && i < GRAPH_MAX_RANK && at < GRAPH_MAX_RANK; i++)
                (arrow ? e->out : e->in[term])[at++] = (char)('0' + i);
            text += 2;
            continue;
        }
        if (*text == ',' && !arrow && term == 0) {
            term = 1;
            at = 0;
        } else if (text[0] == '-' && text[1] == '>' && !arrow) {
            arrow = true;
            at = 0;
            text++;
        } else if (at < GRAPH_MAX_RANK && is_letter(*text)) {
            (arrow ? e->out : e->in[term])[at++] = *text;
        } else {
            return false;
        }
    }
    e->terms = term + 1;
    for (int c = '0'; !arrow && c <= 'z'; c++) {
        int times = 0;
        for (int t = 0; t < 2; t++)
            for (const char *s = e->in[t]; *s; s++)
                times += *s == c;
        if ((times == 1 || (times > 0 && c <= '7')) && strlen(e->out) < GRAPH_MAX_RANK)
            e->out[strlen(e->out)] = (char)c;
    }
    return true;
}

static bool twice(const char *letters)
{
    for (const char *s = letters; *s; s++)
        if (strchr(s + 1, *s) != NULL)
            return true;
    return false;
}

/* Sums x over the letters that nobody else has, and turns it to the order of `want`, with 1 for what it lacks. */
static enum infomask_status einsum_order(struct onnx_import *im, int *x, char *letters, const char *want)
{
    int64_t dims[GRAPH_MAX_RANK];
    int permutation[GRAPH_MAX_RANK], n = 0, kept = 0;
    unsigned gone = 0;
    enum infomask_status status = INFOMASK_OK;
    char left[GRAPH_MAX_RANK + 1] = {0};

    for (int i = 0; letters[i]; i++) {
        if (strchr(want, letters[i]) != NULL)
            left[kept++] = letters[i];
        else
            gone |= 1u << i;
    }
    if (gone)
        status = onnx_step_reduce(im, GRAPH_SUM, *x, gone, false, x);
    for (int i = 0; want[i]; i++)
        if (strchr(left, want[i]) != NULL)
            permutation[n++] = (int)(strchr(left, want[i]) - left);
    if (status == INFOMASK_OK && n > 1)
        status = onnx_step_transpose(im, *x, permutation, x);
    n = 0;
    for (int i = 0, at = 0; status == INFOMASK_OK && want[i]; i++)
        dims[n++] = strchr(left, want[i]) != NULL ? tensor_at(im, *x)->dims[at++] : 1;
    return status != INFOMASK_OK ? status : onnx_step_reshape(im, *x, n, dims, x);
}

static int64_t dim_of(const struct onnx_import *im, const struct einsum *e, const int *x, char letter)
{
    for (int t = 0; t < e->terms; t++)
        if (strchr(e->in[t], letter) != NULL)
            return tensor_at(im, x[t])->dims[strchr(e->in[t], letter) - e->in[t]];
    return 1;
}

/* Letters of both terms that the output has are the batch, those that it has not are summed over: one MatMul of
 * [batch, M, K] and [batch, K, N]. */
static enum infomask_status einsum_product(struct onnx_import *im, const struct einsum *e, int x[2], int *y)
{
    static const int parts[3][2] = {{1, 3}, {3, 2}, {1, 2}}; /* of the operands, of the result */
    char part[4][GRAPH_MAX_RANK + 1] = {{0}}, order[3][3 * GRAPH_MAX_RANK + 1];
    int64_t size[4] = {1, 1, 1, 1}, dims[GRAPH_MAX_RANK];
    struct graph_node *node;
    enum infomask_status status = INFOMASK_OK;
    int permutation[GRAPH_MAX_RANK], n = 0;

    for (int t = 0; t < 2; t++) /* 0 batch, 1 of the first alone, 2 of the second alone, 3 summed */
        for (const char *s = e->in[t]; *s; s++) {
            bool both = strchr(e->in[!t], *s) != NULL, stays = strchr(e->out, *s) != NULL;
            char *to = part[both ? (stays ? 0 : 3) : 1 + t];
            if ((both && t == 1) || (!both && !stays))
                continue;
            to[strlen(to)] = *s;
        }
    for (int p = 0; p < 4; p++)
        for (const char *s = part[p]; *s; s++)
            size[p] *= dim_of(im, e, x, *s);
    for (int i = 0; i < 3; i++)
        (void)snprintf(order[i], sizeof order[i], "%s%s%s", part[0], part[parts[i][0]], part[parts[i][1]]);
    for (const char *s = order[2]; *s; s++)
        dims[n++] = dim_of(im, e, x, *s);
    for (int t = 0; status == INFOMASK_OK && t < 2; t++) {
        const int64_t three[3] = {size[0], t == 0 ? size[1] : size[3], t == 0 ? size[3] : size[2]};
        char letters[GRAPH_MAX_RANK + 1];
        memcpy(letters, e->in[t], sizeof letters);
        status = einsum_order(im, &x[t], letters, order[t]);
        if (status == INFOMASK_OK)
            status = onnx_step_reshape(im, x[t], 3, three, &x[t]);
    }
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_MATMUL, x, 2, 0);
    status = node != NULL ? onnx_step(im, node, y) : onnx_no_memory(im);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, *y, n, dims, y);
    for (int i = 0; i < n; i++)
        permutation[i] = (int)(strchr(order[2], e->out[i]) - order[2]);
    return status == INFOMASK_OK && n > 1 ? onnx_step_transpose(im, *y, permutation, y) : status;
}

enum infomask_status onnx_import_einsum(struct onnx_import *im)
{
    struct einsum e;
    char text[64];
    int x[2], y, ranks[2] = {0, 0};
    enum infomask_status status = INFOMASK_OK;

    onnx_attribute_text(im, "equation", text, sizeof text);
    for (int t = 0; status == INFOMASK_OK && t < im->input_count; t++) {
        status = onnx_any_input(im, t, &x[t]);
        ranks[t] = status == INFOMASK_OK ? tensor_at(im, x[t])->rank : 0;
    }
    if (status != INFOMASK_OK)
        return status;
    if (!parse_einsum(text, ranks, &e) || e.terms != im->input_count || twice(e.in[0]) || twice(e.in[1]) ||
        twice(e.out))
        return onnx_unsupported(im, "the equation '%s'", shown_name(text).text);
    for (int t = 0; status == INFOMASK_OK && t < e.terms; t++) {
        if (ranks[t] != (int)strlen(e.in[t]))
            status = onnx_broken(im, "the equation does not fit input %d", t);
        for (int i = 0; status == INFOMASK_OK && e.in[t][i]; i++)
            if (tensor_at(im, x[t])->dims[i] < 1)
                status = onnx_unsupported(im, "it needs sizes that the file leaves open");
            else if (tensor_at(im, x[t])->dims[i] != dim_of(im, &e, x, e.in[t][i]))
                status = onnx_unsupported(im, "dimensions of one name that differ in the equation '%s'",
                                          shown_name(text).text);
    }
    for (const char *s = e.out; status == INFOMASK_OK && *s; s++)
        if (strchr(e.in[0], *s) == NULL && strchr(e.in[1], *s) == NULL)
            status = onnx_broken(im, "the equation's output has a letter of its own");
    if (status == INFOMASK_OK)
        status = e.terms == 2 ? einsum_product(im, &e, x, &y) : einsum_order(im, &x[0], e.in[0], e.out);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, e.terms == 2 ? y : x[0], ONNX_FLOATS);
}
