/* One model's window and its file.  Private to server/traffic*.c. */
#ifndef APP_STATE_TRAFFIC_WINDOW_H
#define APP_STATE_TRAFFIC_WINDOW_H

#include "app/state/traffic.h"

struct window {
    char key[65];               /* hash of the model's name and file */
    size_t classes, row_limit;
    uint64_t total, saved;      /* photos; as of the file */
    double *prior;              /* [classes] */
    double *information, *entropy; /* [TRAFFIC_WINDOW] rings: photo i is at i % TRAFFIC_WINDOW */
    float *pmi;                 /* [row_limit][classes], likewise */
    struct traffic_baseline baseline;
    struct window *next;
};

/* An empty window; NULL without memory. */
struct window *window_create(const char key[65], size_t classes, const double *prior);
void window_free(struct window *window);

/* The file's text is the window's bytes on this machine; a file of another shape or that is damaged is ignored (false).
 */
bool window_load(struct window *window, const char *folder);
/* A copy of everything that window_write needs, to be written without the lock; malloc'ed, NULL without memory. */
void *window_image(const struct window *window, size_t *size);
enum infomask_status window_write(const char *folder, const char key[65], const void *image, size_t size,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
