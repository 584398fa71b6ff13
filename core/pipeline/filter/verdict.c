/* What became of a target.  PMI of the whole is not enough to judge by: a crocodile's river goes on saying "crocodile"
 * whatever one fills in, and a smear that makes the network see a pot lowers the PMI without being the better removal.
 * So the place and its surroundings are asked apart: removed is what the place says no more of than they do. */
#include <math.h>
#include <stdlib.h>

#include "core/pipeline/filter/filter.h"

#define MARGIN 0.5 /* nats that the place may say beyond its surroundings */
#define LEAST_LOSS 0.5 /* of its PMI that the whole must have lost */
#define WINDOW_SHARE 0.25 /* of that PMI, and of the evidence that a mask needs, that a window may say beyond the */
#define WINDOW_EVIDENCE 0.75 /* surroundings: the larger of the two */
#define WHOLE_MARGIN \
    1 /* nats that the whole may say beyond the surroundings: more comes from what the mask has missed */
#define REST_SHARE 0.6 /* of what the photo said, that what lies beside the mask may go on saying */
#define LEAST_APART 0.5 /* of place and surroundings: a mask of scattered specks says what the rest says */
#define CLOSE 0.35 /* nats: a preview seldom differs by more from the round that it is of */
#define DOUBT 0.55 /* nats: how far another look at the same picture may be from the first */

const char *infomask_verdict_name(enum infomask_verdict verdict)
{
    static const char *const names[] = {NULL, "failed", "weakened", "removed"};
    return names[verdict];
}

/* ---- Places ------------------------------------------------------------------------------------------------------ */

enum infomask_status verdict_place(const struct filter *f, int i, enum mask_place place, const struct place_map *map,
                                   const double *share, double *pmi, struct infomask_error *err)
{
    const struct infomask_model *model = f->session->model;
    struct mask_plan plan = {.session = f->session, .photo = f->photo, .classification = f->before,
                             .options = &f->options->mask, .targets = &f->targets[i], .count = 1};
    size_t d = (size_t)map->d, k = model->info.classes;
    float *mean = malloc((d + k) * sizeof *mean), *logits = mean + d;
    enum infomask_status status = INFOMASK_OK;

    if (mean == NULL)
        return filter_no_memory(err);
    *pmi = NAN;
    if (mask_place_mean(place, share, map->f, map->rows * map->columns, map->d, mean) >= MASK_PLACE_LEAST) {
        status = engine_head_rows(model->engine, mean, 1, logits, err);
        for (size_t c = 0; c < k; c++)
            logits[c] = (float)(logits[c] / model->temperature);
        if (status == INFOMASK_OK)
            status = plan_pmi_of_logits(&plan, logits, pmi, err);
    }
    free(mean);
    return status;
}

static enum infomask_status ask_places(const struct filter *f, int i, struct infomask_round *round,
                                       struct infomask_error *err)
{
    enum infomask_status status;

    round->largest_window_pmi_after = round->evidence = round->apart = NAN;
    round->region_pmi_before = round->region_pmi_after = round->context_pmi_before = round->context_pmi_after = NAN;
    if (f->place_before.f == NULL)
        return INFOMASK_OK;
    round->largest_window_pmi_after = f->window_after[i];
    round->evidence = f->evidence[i];
    round->apart = mask_place_apart(f->share, f->place_after.rows * f->place_after.columns);
    status = verdict_place(f, i, MASK_REGION, &f->place_before, f->share, &round->region_pmi_before, err);
    if (status == INFOMASK_OK)
        status = verdict_place(f, i, MASK_CONTEXT, &f->place_before, f->share, &round->context_pmi_before, err);
    if (status == INFOMASK_OK)
        status = verdict_place(f, i, MASK_REGION, &f->place_after, f->share, &round->region_pmi_after, err);
    if (status == INFOMASK_OK)
        status = verdict_place(f, i, MASK_CONTEXT, &f->place_after, f->share, &round->context_pmi_after, err);
    return status;
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

static double surroundings(const struct infomask_round *round)
{
    return isnan(round->context_pmi_after) ? 0 : fmax(0, round->context_pmi_after);
}

double verdict_excess(const struct infomask_round *round)
{
    return isnan(round->region_pmi_after) ? round->pmi_after : round->region_pmi_after - surroundings(round);
}

bool verdict_judges(const struct filter *f, int i)
{
    return !f->options->keep && !f->out->mask.empty && f->score[i].pmi > 0;
}

/* What lies beside the mask goes on telling most of what the photo did, and as much as would be masked: then the target
 * is there still, and what the place may say beside it proves nothing. */
static bool rest_tells(const struct infomask_round *round, double before)
{
    return surroundings(round) > fmax(REST_SHARE * before, WINDOW_EVIDENCE * round->evidence);
}

/* Somewhere there is nearly as much beyond the surroundings as would be masked, and a quarter of what there was: a part
 * of the object that the mask missed. */
static bool window_tells(const struct infomask_round *round, double before)
{
    double most = fmax(WINDOW_EVIDENCE * round->evidence, WINDOW_SHARE * before);
    return round->largest_window_pmi_after > surroundings(round) + most;
}

/* Why the target is not removed. */
static enum infomask_reason what_tells(const struct infomask_round *round, double before)
{
    if (round->pmi_after >= before)
        return INFOMASK_ROSE;
    if (isnan(round->region_pmi_after))
        return INFOMASK_NO_PLACE;
    if (round->apart < LEAST_APART)
        return INFOMASK_SCATTERED;
    if (verdict_excess(round) > MARGIN)
        return INFOMASK_PLACE;
    if (surroundings(round) > LEAST_LOSS * before)
        return INFOMASK_REST;
    if (window_tells(round, before))
        return INFOMASK_WINDOW;
    return round->rank_after == 1 ? INFOMASK_FIRST : INFOMASK_WHOLE;
}

/* Under a sigmoid a class competes with none, and its PMI ends at -log of its own prior, so that neither ranks nor
 * margins in nats tell: removed is what the whole, and its place, hold no likelier than the prior does. */
static enum infomask_reason judge_binary(const struct infomask_round *round, double before, double whole)
{
    if (round->pmi_after >= before)
        return INFOMASK_ROSE;
    if (whole <= 0)
        return !isnan(round->region_pmi_after) && verdict_excess(round) > 0 ? INFOMASK_PLACE : INFOMASK_NO_PMI;
    return surroundings(round) > LEAST_LOSS * before ? INFOMASK_REST : INFOMASK_WHOLE;
}

/* The reason tells whether it is removed. */
static enum infomask_reason judge(const struct filter *f, const struct infomask_round *round, double before)
{
    double map_after = isnan(round->map_pmi_after) ? round->pmi_after : round->map_pmi_after;

    if (!isnan(f->options->until)) {
        if (round->pmi_after >= before) /* a limit above what there was is no removal */
            return INFOMASK_ROSE;
        return fmax(round->pmi_after, map_after) <= f->options->until ? INFOMASK_UNDER_LIMIT : INFOMASK_OVER_LIMIT;
    }
    if (f->session->model->sigmoid)
        return judge_binary(round, before, fmax(round->pmi_after, map_after));
    if (!f->session->model->info.windows)
        return round->pmi_after <= 0 ? INFOMASK_NO_PMI : round->pmi_after >= before ? INFOMASK_ROSE : INFOMASK_WHOLE;
    if (!isnan(round->region_pmi_after) && verdict_excess(round) <= MARGIN &&
        round->pmi_after <= LEAST_LOSS * before && round->pmi_after <= surroundings(round) + WHOLE_MARGIN &&
        round->rank_after > 1 && !window_tells(round, before) && !rest_tells(round, before) &&
        !(round->apart < LEAST_APART))
        return INFOMASK_GONE;
    return what_tells(round, before);
}

static bool is_removed(enum infomask_reason reason)
{
    return reason == INFOMASK_GONE || reason == INFOMASK_UNDER_LIMIT || reason == INFOMASK_NO_PMI;
}

enum infomask_status verdict_row(struct filter *f, int i, struct infomask_round *round, struct infomask_error *err)
{
    struct infomask_score after = infomask_score(f->session->model, &f->after, f->targets[i]);
    enum infomask_status status;

    *round = (struct infomask_round){.area = f->out->area,
                                     .pmi_after = after.pmi,
                                     .map_pmi_after = f->map_after[i],
                                     .probability_after = exp(after.log_probability),
                                     .rank_after = after.rank,
                                     .looks = 1,
                                     .random_area_pmi_after = NAN};
    status = ask_places(f, i, round, err);
    if (status == INFOMASK_OK)
        verdict_judge(f, i, round);
    return status;
}

void verdict_judge(const struct filter *f, int i, struct infomask_round *round)
{
    round->reason = !f->options->keep ? INFOMASK_NOTHING : f->out->mask.empty ? INFOMASK_NOTHING_KEPT : INFOMASK_KEPT;
    if (f->least_area > 0 && f->score[i].pmi > 0)
        round->reason = INFOMASK_NO_ROOM;
    round->least_area = f->least_area;
    if (verdict_judges(f, i))
        round->reason = judge(f, round, f->score[i].pmi);
    round->verdict = is_removed(round->reason) ? INFOMASK_REMOVED : INFOMASK_NO_VERDICT;
}

/* Would it be removed if so much less were left? */
static bool removed_with_less(const struct filter *f, int i, const struct infomask_round *round, double nats)
{
    struct infomask_round less = *round;

    less.pmi_after -= nats;
    less.map_pmi_after -= nats;
    less.region_pmi_after -= nats;
    less.largest_window_pmi_after -= nats;
    return verdict_judges(f, i) && is_removed(judge(f, &less, f->score[i].pmi));
}

bool verdict_is_close(const struct filter *f, int i, const struct infomask_round *round)
{
    return removed_with_less(f, i, round, CLOSE);
}

bool verdict_is_in_doubt(const struct filter *f, int i, const struct infomask_round *round)
{
    const struct infomask_model *model = f->session->model;
    bool by_places = isnan(f->options->until) && !model->sigmoid && model->info.windows;

    return by_places && removed_with_less(f, i, round, DOUBT) && !removed_with_less(f, i, round, -DOUBT);
}

void verdict_with_control(const struct filter *f, int i, double control, struct infomask_round *round)
{
    double before = f->score[i].pmi;

    round->random_area_pmi_after = control;
    if (verdict_judges(f, i) && round->verdict != INFOMASK_REMOVED)
        round->verdict = round->pmi_after < before && round->pmi_after < control ? INFOMASK_WEAKENED : INFOMASK_FAILED;
}

/* ---- What still tells -------------------------------------------------------------------------------------------- */

static void keep_telling(struct infomask_telling *best, int *count, const struct infomask_telling *cell)
{
    int at = *count;

    if (cell->information <= 0)
        return;
    while (at > 0 && cell->information > best[at - 1].information)
        at--;
    if (at == INFOMASK_TELLING)
        return;
    *count += *count < INFOMASK_TELLING;
    for (int i = *count - 1; i > at; i--)
        best[i] = best[i - 1];
    best[at] = *cell;
}

/* The pixels that a cell stands for. */
static struct infomask_telling cell_of(const struct filter *f, int u, double information)
{
    const struct place_map *map = &f->place_after;
    double height = (double)f->image->height / map->rows, width = (double)f->image->width / map->columns;
    struct infomask_telling cell = {.row = u / map->columns, .column = u % map->columns, .information = information};

    cell.x = (int)(cell.column * width);
    cell.y = (int)(cell.row * height);
    cell.width = (int)ceil((cell.column + 1) * width) - cell.x;
    cell.height = (int)ceil((cell.row + 1) * height) - cell.y;
    return cell;
}

enum infomask_status verdict_telling(struct filter *f, int i, struct infomask_verification *row,
                                     struct infomask_error *err)
{
    const struct place_map *map = &f->place_after;
    struct pipeline_cells of;
    struct mask_set set = pipeline_set(f->session->model, &f->targets[i], f->before->log_prior);
    int n = map->rows * map->columns;
    double *cells, *share;
    enum infomask_status status;

    row->inside_count = row->outside_count = 0;
    if (map->f == NULL)
        return INFOMASK_OK;
    cells = malloc(((size_t)n + (size_t)set.count) * sizeof *cells);
    if (cells == NULL)
        return filter_no_memory(err);
    share = cells + n;
    mask_set_share(&set, f->map_log_p, share);
    set.share = share;
    status = pipeline_cells_init(&of, f->session->model, map->f, n, err);
    if (status == INFOMASK_OK) {
        status = mask_information(&of.head, &set, of.f, n, f->map_after[i], cells, err);
        pipeline_cells_fini(&of);
    }
    for (int u = 0; u < n && status == INFOMASK_OK; u++) {
        struct infomask_telling cell = cell_of(f, u, cells[u]);
        if (f->share[u] >= 0.5)
            keep_telling(row->inside, &row->inside_count, &cell);
        else
            keep_telling(row->outside, &row->outside_count, &cell);
    }
    free(cells);
    return status;
}
