/* A network that grows layer by layer, and the maps in it that a next layer may read. */
#ifndef TESTS_UNIT_ENGINE_MAKER_H
#define TESTS_UNIT_ENGINE_MAKER_H

#include "engine/build.h"

#define MOST_MAPS 40

struct map {
    int tensor, c, h, w;
};

struct maker {
    struct net net;
    struct map maps[MOST_MAPS];
    int count;
    bool one_size; /* shapes that are right for this picture alone */
    char story[1024]; /* what was put behind what, for who has to look into it */
};

static int below(int n) { return (int)random_below(&rng, (uint32_t)n); }

static bool sometimes(int of) { return below(of) == 0; }

static struct map last(const struct maker *m) { return m->maps[m->count - 1]; }

static void keep(struct maker *m, int c, const struct graph_window *w, const char *what)
{
    struct map from = last(m);
    int h = w == NULL ? from.h : (int)graph_window_output(w, 0, from.h, NULL, NULL);
    int wide = w == NULL ? from.w : (int)graph_window_output(w, 1, from.w, NULL, NULL);
    size_t at = strlen(m->story);

    m->maps[m->count++] = (struct map){m->net.last, c, h, wide};
    (void)snprintf(m->story + at, sizeof m->story - at, " %s[%d,%d,%d]", what, c, h, wide);
}

#endif
