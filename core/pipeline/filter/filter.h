/* How a photo is filtered, in the order of the files: holes and their filling (filter.c), what is left in the picture
 * that will be returned (verify.c), what that means (verdict.c), what is taken next (next.c), and the rounds
 * (rounds.c).  Private to core/pipeline. */
#ifndef INFOMASK_PIPELINE_FILTER_H
#define INFOMASK_PIPELINE_FILTER_H

#include "core/image/fill.h"
#include "core/infomask_mask.h"
#include "core/pipeline/mask.h"

struct filter {
    struct infomask_session *session;
    struct infomask_photo *photo;
    const struct infomask_classification *before;
    const struct infomask_filter_options *options;
    struct infomask_filtered *out;
    const struct image *image;
    size_t pixels;
    int *targets;  /* [count] */
    int count;
    double *prior; /* [classes] */
    uint8_t *hole; /* [pixels] how much of the fill a pixel is, of 255 */
    double least_area; /* of the smallest hole, where none is within max_area; else 0 */
    struct place_map place_before, place_after; /* the latter's lies in the session until its next pass */
    double *map_after;               /* [count] PMI of the whole-photo pass of what is returned */
    double *window_after;            /* [count] largest window PMI of that pass; meaningless without place_after */
    double *evidence;                /* [count] what of it would be masked */
    double *map_log_p;               /* [classes] and its log p(y|x) */
    double *share;                   /* [rows, columns] covered by the mask, for both */
    struct infomask_photo *returned; /* what was encoded, read again; of a preview, the picture */
    struct infomask_classification after;
    struct infomask_score *score; /* [count] of the targets before */
};

/* ---- compose.c ---- */
enum infomask_status filter_no_memory(struct infomask_error *err) __attribute__((warn_unused_result));
/* Share of the pixels of which at least half is fill. */
double filter_area(const uint8_t *hole, size_t pixels);
/* The mask's pixels, grown and (to keep the target) turned round: what is to be filled. */
enum infomask_status filter_hole(const struct filter *f, const uint8_t *mask, uint8_t *hole, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* f->hole of the first round, within max_area: what is over it keeps its most salient part only; where that does not
 * help, the mask is empty and f->least_area is set. */
enum infomask_status filter_first_hole(struct filter *f, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The picture with f->hole filled into f->out->image. */
enum infomask_status filter_encode(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* The verified cut-out again, cropped to what is left in it. */
enum infomask_status filter_trim(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* The photo with `hole` filled for the network's eyes, on a copy of so many pixels, as a decoded picture; image_fini
 * it. */
enum infomask_status filter_compose(const struct filter *f, const uint8_t *hole, size_t pixels, struct image *image,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- verify.c ---- */
/* Reads f->out->image again: f->returned, f->after, f->place_after.  The session's last pass is that of the whole. */
enum infomask_status verify_returned(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* The same of f->hole filled on a small copy, which nobody will get: what a round may come to, for a fraction of it. */
enum infomask_status verify_preview(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* Is a preview much cheaper than the round itself? */
bool verify_can_preview(const struct filter *f);
void verify_forget(struct filter *f);
/* The places of the photo as it came: from the mask's own pass if that was kept, else from a pass of its own. */
enum infomask_status verify_before(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* PMI of every target after a random region of this area was filled, [count]. */
enum infomask_status verify_control(const struct filter *f, double area, double *pmi, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- verdict.c ---- */
/* What target i sees of the round, from what verify_returned found, f->hole's share of the cells and f->out->area; then
 * verdict_judge. */
enum infomask_status verdict_row(struct filter *f, int i, struct infomask_round *round, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The round's reason and, as far as it goes without the control, its verdict: NO_VERDICT may yet become WEAKENED or
 * FAILED. */
void verdict_judge(const struct filter *f, int i, struct infomask_round *round);
/* The verdict of a round that is not REMOVED, with its control. */
void verdict_with_control(const struct filter *f, int i, double control, struct infomask_round *round);
/* Is a verdict asked for and possible? */
bool verdict_judges(const struct filter *f, int i);
/* Is it REMOVED, or would a little less have made it so?  What a preview has to be to be worth a round. */
bool verdict_is_close(const struct filter *f, int i, const struct infomask_round *round);
/* Might another look at the same picture, in a pass of another size, come to another verdict? */
bool verdict_is_in_doubt(const struct filter *f, int i, const struct infomask_round *round);
/* PMI of the head on the mean of the place's features in map, share [rows, columns] of which is covered; NAN if the
 * place has under half a cell. */
enum infomask_status verdict_place(const struct filter *f, int i, enum mask_place place, const struct place_map *map,
                                   const double *share, double *pmi, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Fills the cells that still tell. */
enum infomask_status verdict_telling(struct filter *f, int i, struct infomask_verification *row,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
/* How much of the target the place says beyond its surroundings; of no place: what the whole says. */
double verdict_excess(const struct infomask_round *round);

/* ---- looks.c ---- */
/* If one of rows [count] is in doubt, looks twice more at f->returned and judges all of them anew; *looked: it did, and
 * the session's last pass is another one than that of the whole (f->place_after is a copy then). */
enum infomask_status looks_settle(struct filter *f, struct infomask_verification *rows, bool *looked,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- next.c ---- */
/* What a round is followed by. */
struct filter_step {
    uint8_t *left; /* [pixels] filter_levels of what its picture still tells; owned; NULL after the last round */
    bool place;    /* it is the place itself that still tells */
    double area;   /* of its hole */
};
/* A mask's pixels from 0 and 255 to 0 and how salient they are, 1 to 255. */
enum infomask_status filter_levels(struct infomask_mask *mask, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* f->out->mask and f->hole of the next round; *grown false: there is nothing more to take, or no room for it. */
enum infomask_status filter_next_mask(struct filter *f, const struct filter_step *step, bool *grown,
                                      struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- rounds.c ---- */
enum infomask_status filter_rounds(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));
/* Nothing is there: the picture as it was, through the encoder. */
enum infomask_status filter_unchanged(struct filter *f, struct infomask_error *err) __attribute__((warn_unused_result));

#endif
