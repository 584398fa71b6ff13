/* The nearest of some names to one that was mistyped, for sentences. */
#ifndef APP_JSON_NEAREST_H
#define APP_JSON_NEAREST_H

#define NEAREST_LONGEST 255

/* Levenshtein's distance, letters of either case alike, - and _ too.  Both at most NEAREST_LONGEST bytes. */
int nearest_edits(const char *a, const char *b);

struct nearest {
    const char *asked, *name; /* name: the nearest so far that is near enough; NULL: none.  Both borrowed */
    int distance;
};

struct nearest nearest_begin(const char *asked);
/* By nearest_edits; at most one edit in three letters, two at least.  A name that begins with what was asked, of three
 * letters at least, is as near as one with an edit. */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
