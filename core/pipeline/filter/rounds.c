/* The rounds of a filter: fill, ask again, judge; while the target is not removed, the next round's mask takes what
 * still tells, and its rim where the place itself does.  The best round is the answer.
 *
 * A round after the first is looked at on a preview, where that is much cheaper, and made in full when the preview is
 * removed, or close to it, or turns out to be the best: what is said of a picture that is returned is said of its
 * bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/filter/filter.h"

/* A round that was made: its picture, mask and rows. */
struct outcome {
    bool preview; /* there is no image of it */
    bool looked;  /* again, in passes of other sizes */
    int number;   /* its place in the rows' lists */
    struct infomask_encoded image;
    enum infomask_fill fill; /* of the image */
    const char *fill_reason;
    uint8_t *mask; /* [pixels]; of the best ones */
    uint8_t *left; /* [pixels] filter_levels of what the round's picture still tells, if another may follow, or NULL */
    struct infomask_verification *rows;
    double area, excess;
    enum infomask_verdict verdict; /* the worst that was given */
    bool judged, removed;          /* a verdict was asked for at all; every one given is REMOVED */
    bool close;                    /* or is close to that */
};

static void outcome_fini(struct outcome *o)
{
    infomask_encoded_fini(&o->image);
    free(o->mask);
    free(o->left);
    free(o->rows);
    *o = (struct outcome){0};
}

/* ---- One round --------------------------------------------------------------------------------------------------- */

static void sum_up(const struct filter *f, struct outcome *o)
{
    o->area = f->out->area;
    o->excess = -INFINITY;
    o->verdict = INFOMASK_NO_VERDICT;
    o->judged = false;
    o->removed = o->close = true;
    for (int i = 0; i < f->count; i++) {
        const struct infomask_round *round = &o->rows[i].after;
        if (!verdict_judges(f, i))
            continue;
        o->verdict = o->judged && o->verdict < round->verdict ? o->verdict : round->verdict;
        o->excess = fmax(o->excess, verdict_excess(round));
        o->removed = o->removed && round->verdict == INFOMASK_REMOVED;
        o->close = o->close && (round->verdict == INFOMASK_REMOVED || verdict_is_close(f, i, round));
        o->judged = true;
    }
}

static enum infomask_status control_rows(const struct filter *f, struct outcome *o, struct infomask_error *err)
{
    double *pmi = malloc((size_t)f->count * sizeof *pmi);
    enum infomask_status status = pmi == NULL ? filter_no_memory(err) : verify_control(f, o->area, pmi, err);

    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        verdict_with_control(f, i, pmi[i], &o->rows[i].after);
    free(pmi);
    return status;
}

static enum infomask_status first_look(struct filter *f, int i, bool preview, struct infomask_verification *row,
                                       struct infomask_error *err)
{
    enum infomask_status status;

    *row = (struct infomask_verification){.target = f->targets[i],
                                          .pmi_before = f->score[i].pmi,
                                          .map_pmi_before = f->out->mask.maps[i].map_pmi,
                                          .probability_before = exp(f->score[i].log_probability)};
    status = verdict_row(f, i, &row->after, err);
    row->after.preview = preview;
    return status;
}

/* Rows, settled where they were in doubt, and what still tells. */
static enum infomask_status look_at_rows(struct filter *f, struct outcome *o, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        status = first_look(f, i, o->preview, &o->rows[i], err);
    if (status == INFOMASK_OK && !o->preview)
        status = looks_settle(f, o->rows, &o->looked, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        if (o->rows[i].after.verdict != INFOMASK_REMOVED)
            status = verdict_telling(f, i, &o->rows[i], err);
    return status;
}

/* What is left of the targets in the picture, from the pass that it was just asked in if that was the last. */
static enum infomask_status find_left(struct filter *f, struct outcome *o, struct infomask_error *err)
{
    struct infomask_mask_options options = f->options->mask;
    struct infomask_mask left = {0};
    enum infomask_status status;

    options.targets = f->targets;
    options.target_count = f->count;
    status = mask_make(f->session, f->returned, &f->after, &options, o->looked ? MASK_PASS : MASK_PASS_LIES, &left,
                       err);
    if (status == INFOMASK_OK)
        status = filter_levels(&left, err);
    if (status == INFOMASK_OK) {
        o->left = left.pixels;
        left.pixels = NULL;
    }
    infomask_mask_fini(&left);
    return status;
}

/* May another round follow this one, which is not yet listed? */
static bool may_go_on(const struct filter *f, const struct outcome *o)
{
    return o->judged && !o->removed && f->out->passes + 1 < f->options->max_passes && f->options->mask.given == NULL;
}

/* A preview that the round is worth making for. */
static bool is_promising(const struct outcome *o) { return o->preview && o->judged && o->close; }

/* What the round's picture has become; of a preview that is promising, no more than that. */
static enum infomask_status look(struct filter *f, struct outcome *o, struct infomask_error *err)
{
    const struct place_map *map = &f->place_before;
    enum infomask_status status = o->preview ? verify_preview(f, err) : verify_returned(f, err);

    o->rows = calloc((size_t)f->count, sizeof *o->rows);
    if (status == INFOMASK_OK && o->rows == NULL)
        status = filter_no_memory(err);
    if (status == INFOMASK_OK && map->f != NULL)
        status = mask_cover(f->hole, f->image->height, f->image->width, map->rows, map->columns, f->share, err);
    for (int u = 0; status == INFOMASK_OK && f->options->keep && u < map->rows * map->columns; u++)
        f->share[u] = 1 - f->share[u]; /* the hole is everything else */
    if (status == INFOMASK_OK)
        status = look_at_rows(f, o, err);
    if (status != INFOMASK_OK)
        return status;
    sum_up(f, o);
    if (is_promising(o))
        return INFOMASK_OK;
    if (may_go_on(f, o))
        status = find_left(f, o, err);
    photo_forget(f->returned); /* its pixels make room for the control's */
    if (status == INFOMASK_OK && o->judged && !o->removed) {
        status = control_rows(f, o, err);
        sum_up(f, o);
    }
    return status;
}

static enum infomask_status make_round(struct filter *f, struct outcome *o, struct infomask_error *err)
{
    enum infomask_status status = plan_expired(f->photo, err);

    verify_forget(f); /* the last round's picture, which the next one's takes the place of */
    f->out->area = filter_area(f->hole, f->pixels);
    if (status == INFOMASK_OK && !o->preview)
        status = filter_encode(f, err);
    return status == INFOMASK_OK ? look(f, o, err) : status;
}

/* The round of f->hole, on a preview if that will do: removed, or close to it, is said of what can be returned only. */
static enum infomask_status next_round(struct filter *f, struct outcome *o, struct infomask_error *err)
{
    int number = f->out->passes;
    enum infomask_status status;

    *o = (struct outcome){.number = number, .preview = number > 0 && verify_can_preview(f)};
    status = make_round(f, o, err);
    if (status == INFOMASK_OK && is_promising(o)) {
        outcome_fini(o);
        o->number = number;
        status = make_round(f, o, err);
    }
    return status;
}

/* ---- What the next one is made of -------------------------------------------------------------------------------- */

static bool place_tells(const struct filter *f, const struct outcome *o)
{
    for (int i = 0; i < f->count; i++)
        if (o->rows[i].after.reason == INFOMASK_PLACE)
            return true;
    return false;
}

static struct filter_step step_from(const struct filter *f, struct outcome *o)
{
    struct filter_step step = {.left = o->left, .place = o->left != NULL && place_tells(f, o), .area = o->area};

    o->left = NULL;
    return step;
}

/* ---- The best of them -------------------------------------------------------------------------------------------- */

static bool is_better(const struct outcome *a, const struct outcome *b)
{
    if (a->verdict != b->verdict)
        return a->verdict > b->verdict;
    if (a->excess < b->excess || a->excess > b->excess)
        return a->excess < b->excess;
    return a->area < b->area;
}

/* Every round stays on the list of each row; one that is made in full takes its preview's place. */
static enum infomask_status list_round(struct filter *f, const struct outcome *o, struct infomask_error *err)
{
    for (int i = 0; i < f->count; i++) {
        struct infomask_verification *row = &f->out->rows[i];
        if (o->number == row->passes) {
            struct infomask_round *rounds = realloc(row->rounds, ((size_t)row->passes + 1) * sizeof *rounds);
            if (rounds == NULL)
                return filter_no_memory(err);
            row->rounds = rounds;
            row->passes++;
        }
        row->rounds[o->number] = o->rows[i].after;
    }
    f->out->passes = o->number == f->out->passes ? o->number + 1 : f->out->passes;
    return INFOMASK_OK;
}

/* The round becomes `best` if it is better; that takes its picture, its rows and a copy of its mask. */
static enum infomask_status keep_best(struct filter *f, struct outcome *o, struct outcome *best,
                                      struct infomask_error *err)
{
    uint8_t *mask = best->mask;

    if (best->rows != NULL && !is_better(o, best))
        return INFOMASK_OK;
    best->mask = NULL;
    outcome_fini(best);
    mask = mask != NULL ? mask : malloc(f->pixels);
    if (mask == NULL)
        return filter_no_memory(err);
    *best = *o;
    *o = (struct outcome){0};
    best->mask = mask;
    memcpy(mask, f->out->mask.pixels, f->pixels);
    if (best->preview)
        return INFOMASK_OK;
    best->image = f->out->image;
    best->fill = f->out->fill;
    best->fill_reason = f->out->fill_reason;
    f->out->image = (struct infomask_encoded){0};
    return INFOMASK_OK;
}

static void fill_in(struct filter *f, const struct outcome *best)
{
    struct infomask_filtered *out = f->out;

    out->verdict = best->verdict;
    out->complete = true;
    out->area = best->area;
    for (int i = 0; i < f->count; i++) {
        struct infomask_verification *row = &out->rows[i];
        struct infomask_round *rounds = row->rounds;
        int passes = row->passes;
        *row = best->rows[i];
        row->rounds = rounds;
        row->passes = passes;
        row->after.returned = true;
        row->complete = row->after.verdict == INFOMASK_REMOVED;
        if (passes > 0)
            rounds[best->number] = row->after;
        out->complete = out->complete && row->complete;
    }
}

static enum infomask_status take_mask(struct filter *f, const uint8_t *mask, struct infomask_error *err)
{
    if (memcmp(f->out->mask.pixels, mask, f->pixels) == 0)
        return INFOMASK_OK;
    memcpy(f->out->mask.pixels, mask, f->pixels);
    return paint_measure(&f->out->mask, err);
}

static enum infomask_status give_best(struct filter *f, struct outcome *best, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    if (isnan(best->rows[0].after.random_area_pmi_after))
        status = control_rows(f, best, err);
    if (status != INFOMASK_OK)
        return status;
    fill_in(f, best);
    verify_forget(f);
    infomask_encoded_fini(&f->out->image);
    f->out->image = best->image;
    f->out->fill = best->fill;
    f->out->fill_reason = best->fill_reason;
    best->image = (struct infomask_encoded){0};
    return take_mask(f, best->mask, err);
}

/* The best of the rounds that were made in full, and of the previews of others; none: zeroed. */
struct bests {
    struct outcome full, preview;
};

/* All rounds; there is a best one as soon as the first is made. */
static enum infomask_status make_rounds(struct filter *f, struct bests *best, struct infomask_error *err)
{
    struct outcome round = {0};
    struct filter_step step;
    bool go_on = true;
    enum infomask_status status = INFOMASK_OK;

    while (go_on && status == INFOMASK_OK) {
        status = next_round(f, &round, err);
        if (status == INFOMASK_OK)
            status = list_round(f, &round, err);
        step = step_from(f, &round);
        if (status == INFOMASK_OK)
            status = keep_best(f, &round, round.preview ? &best->preview : &best->full, err);
        go_on = step.left != NULL;
        if (status == INFOMASK_OK && go_on)
            status = filter_next_mask(f, &step, &go_on, err);
        free(step.left);
        outcome_fini(&round);
    }
    return status;
}

/* A preview that is better than all that was made in full is made so, too, and may turn out to be worse. */
static enum infomask_status make_preview(struct filter *f, struct bests *best, struct infomask_error *err)
{
    struct outcome round = {.number = best->preview.number};
    enum infomask_status status;

    if (best->preview.rows == NULL || !is_better(&best->preview, &best->full))
        return INFOMASK_OK;
    status = take_mask(f, best->preview.mask, err);
    if (status == INFOMASK_OK)
        status = filter_hole(f, f->out->mask.pixels, f->hole, err);
    if (status == INFOMASK_OK)
        status = make_round(f, &round, err);
    if (status == INFOMASK_OK)
        status = list_round(f, &round, err);
    if (status == INFOMASK_OK)
        status = keep_best(f, &round, &best->full, err);
    outcome_fini(&round);
    return status;
}

enum infomask_status filter_rounds(struct filter *f, struct infomask_error *err)
{
    struct bests best = {0};
    enum infomask_status status = filter_first_hole(f, err);

    if (status == INFOMASK_OK)
        status = make_rounds(f, &best, err);
    if (status == INFOMASK_OK)
        status = make_preview(f, &best, err);
    if (status == INFOMASK_DEADLINE && best.full.rows != NULL) {
        f->out->cut_short = true;
        status = INFOMASK_OK;
    }
    if (status == INFOMASK_OK)
        status = give_best(f, &best.full, err);
    outcome_fini(&best.full);
    outcome_fini(&best.preview);
    return status;
}

enum infomask_status filter_unchanged(struct filter *f, struct infomask_error *err)
{
    struct outcome only = {0};
    enum infomask_status status;

    memset(f->hole, 0, f->pixels);
    status = filter_encode(f, err);
    if (status == INFOMASK_OK)
        status = look(f, &only, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        only.rows[i].after.random_area_pmi_after = only.rows[i].after.pmi_after;
    if (status == INFOMASK_OK)
        fill_in(f, &only);
    outcome_fini(&only);
    return status;
}
