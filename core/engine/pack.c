/* Weights packed a few rows at a time, so that little more than they is in memory meanwhile. */
#include <string.h>

#include "core/base/aligned.h"
#include "core/engine/internal.h"

#define PIECE_BYTES ((size_t)2 << 20)
#define PANEL 64 /* rows that are whole panels in every table */

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
}

static size_t row_of(const struct pack_rows *rows)
{
    return (size_t)rows->matrix.segments * (size_t)rows->matrix.segment_k;
}

/* Everything of the weights but the data of all rows before the last piece. */
static enum infomask_status make_frame(struct kernel_weights *all, const struct kernel_weights *last, size_t before,
                                       const struct pack_rows *rows, struct infomask_error *err)
{
    *all = *last;
    all->n = (int)rows->n;
    all->panels = (int)(before / (size_t)last->panel_columns) + last->panels;
    all->bytes = before * row_of(rows) * sizeof(float) + last->bytes;
    all->scale = NULL;
    all->data = aligned_new_large(all->bytes);
    all->bias = aligned_new((rows->n + 128) * sizeof(float));
    if (all->data == NULL || all->bias == NULL)
        return no_memory(err);
    memset(all->bias, 0, (rows->n + 128) * sizeof(float));
    if (rows->matrix.bias != NULL)
        memcpy(all->bias, rows->matrix.bias, rows->n * sizeof(float));
    return INFOMASK_OK;
}

/* Rows [at, at + n) of all matrices; is_last: the frames are made for them.  turned: room for what the rows become. */
struct piece {
    size_t at, n;
    bool is_last;
    float *turned;
};

static enum infomask_status put_piece(struct kernel_weights *all, const struct engine_model *model,
                                      const struct pack_rows *rows, const struct piece *piece,
                                      struct infomask_error *err)
{
    const float *w = rows->w + piece->at * rows->k;
    size_t row = row_of(rows);
    enum infomask_status status = INFOMASK_OK;

    if (rows->turn != NULL) {
        rows->turn(rows, w, piece->n, piece->turned);
        w = piece->turned;
    }
    for (int i = 0; i < rows->matrices && status == INFOMASK_OK; i++) {
        struct kernel_matrix matrix = rows->matrix;
        struct kernel_weights part = {0};
        matrix.w = w + (size_t)i * piece->n * row;
        matrix.n = (int)piece->n;
        matrix.bias = NULL;
        status = model->kernels->pack(&part, &matrix, err);
        if (status == INFOMASK_OK && piece->is_last)
            status = make_frame(&all[i], &part, piece->at, rows, err);
        if (status == INFOMASK_OK)
            memcpy((char *)all[i].data + piece->at * row * sizeof(float), part.data,
                   piece->is_last ? part.bytes : piece->n * row * sizeof(float));
        kernel_weights_fini(&part);
    }
    if (rows->from != GRAPH_NONE)
        graph_forget(model->graph, rows->from, piece->at * rows->k, piece->n * rows->k);
    return status;
}

/* The panels of float32 weights lie one behind the other, K lines of each: so packing the columns of whole panels gives
 * the bytes that they have among all. */
enum infomask_status pack_pieces(struct kernel_weights *all, const struct engine_model *model,
                                 const struct pack_rows *rows, struct infomask_error *err)
{
    size_t bytes = (size_t)rows->matrices * row_of(rows) * sizeof(float), each = PIECE_BYTES / bytes / PANEL * PANEL;
    struct piece piece = {.is_last = true};
    enum infomask_status status;

    each = each < PANEL ? PANEL : each;
    piece.at = rows->n / each == 0 ? 0 : (rows->n / each - 1) * each; /* the last piece has what is left as well */
    piece.n = rows->n - piece.at;
    if (rows->turn != NULL)
        piece.turned = aligned_new(piece.n * bytes);
    if (rows->turn != NULL && piece.turned == NULL)
        return no_memory(err);
    status = put_piece(all, model, rows, &piece, err);
    piece.is_last = false;
    for (size_t end = piece.at; status == INFOMASK_OK && end > 0; end -= piece.n) {
        piece.n = each;
        piece.at = end - each;
        status = put_piece(all, model, rows, &piece, err);
    }
    aligned_free(piece.turned);
    return status;
}
