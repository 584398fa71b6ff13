/* How the pipeline asks for a fill.  Private to core/pipeline. */
#ifndef INFOMASK_PIPELINE_FILL_H
#define INFOMASK_PIPELINE_FILL_H

#include "core/image/fill.h"
#include "core/infomask_mask.h"
#include "core/pipeline/pipeline.h"

/* What the options mean for this model: never INFOMASK_OWN_FILL. */
enum infomask_fill pipeline_fill_of(const struct infomask_model *model, const struct infomask_filter_options *options);

/* Is it left to the pipeline how far the mask grows, so that copied patches do not go on with the object's edge? */
bool pipeline_grows(const struct infomask_model *model, const struct infomask_filter_options *options);
/* Pixels, at the working size, by which the mask grows before it is filled; *least: how little it may be where
 * more than FILL_MOST_MATCHED of the photo would be filled. */
double pipeline_dilate(const struct infomask_model *model, const struct infomask_filter_options *options,
                       double *least);

/* For fill_create; a transparent fill has none. */
struct fill_options pipeline_fill(struct infomask_session *session, const struct infomask_photo *photo,
                                  const struct infomask_filter_options *options);

/* Tells in the result what was filled with (fill NULL: nothing, transparent) and why. */
void pipeline_note_fill(const struct infomask_model *model, const struct fill *fill,
                        const struct infomask_filter_options *options, struct infomask_filtered *out);

#endif
