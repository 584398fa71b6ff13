/* A page about an estimate: one HTML file with its plots in SVG and the suspects' pictures inside, no script, nothing
 * from elsewhere.  PMI histogram, reliability, information by class, risk against coverage, suspects. */
#ifndef APP_VIEW_REPORT_H
#define APP_VIEW_REPORT_H

#include "app/state/estimates.h"
#include "app/view/views.h"

/* What the plots need of every sample; collected by report_row (an estimate_row_visit with it as the context). */
struct report_sample {
    double pmi, information;
    bool correct;
};
struct report_samples {
    struct report_sample *samples; /* malloc'ed; freed by report_samples_fini */
    size_t count, capacity;
    bool full; /* out of memory */
};
bool report_row(void *samples, const struct estimate_row *row);
void report_samples_fini(struct report_samples *samples);

/* Writes folder/index.html, and makes the folder.  samples: sorted in place.  photos: the folder under which the
 * suspects' files lie, by their ids; NULL: no pictures. */
enum infomask_status report_write(const char *folder, const struct estimate_state *state,
                                  struct report_samples *samples, const char *photos, enum view_units units,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
