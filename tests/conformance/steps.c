/* One step of the mask chain on given numbers, so that it can be compared with another program's answer:
 *
 *     steps NAME PARAMETER... < float32 inputs > float32 results
 *
 * Sides come before other parameters; inputs and results follow each other as the comments of the functions say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/fill.h"
#include "core/image/pixels.h"
#include "core/mask/mask.h"

struct step {
    const double *p;        /* parameters */
    float *in;
    size_t in_count;
    float *out;
    size_t out_count;
};

static int whole(const struct step *s, int i) { return (int)s->p[i]; }

static float *reserve(struct step *s, size_t count)
{
    s->out = calloc(count, sizeof *s->out);
    s->out_count = s->out != NULL ? count : 0;
    return s->out;
}

/* h w radius eps: rgb [h, w, 3], p [h, w] -> [h, w] */
static bool step_guided(struct step *s)
{
    int h = whole(s, 0), w = whole(s, 1);
    size_t n = (size_t)h * (size_t)w;
    struct guided *guided;

    if (s->in_count != 4 * n || reserve(s, n) == NULL || guided_create(&guided, s->in, h, w, whole(s, 2), NULL) != 0)
        return false;
    guided_filter(guided, s->in + 3 * n, (float)s->p[3], s->out);
    guided_free(guided);
    return true;
}

/* values -> threshold */
static bool step_otsu(struct step *s)
{
    if (reserve(s, 1) == NULL)
        return false;
    s->out[0] = (float)mask_otsu(s->in, s->in_count);
    return true;
}

/* rgb [n, 3] -> Lab [n, 3] */
static bool step_lab(struct step *s)
{
    if (reserve(s, s->in_count) == NULL)
        return false;
    pixels_lab(s->in, s->in_count / 3, s->out);
    return true;
}

/* h w c out_h out_w: [h, w, c] -> [out_h, out_w, c] */
static bool step_resize(struct step *s)
{
    int h = whole(s, 0), w = whole(s, 1), c = whole(s, 2), out_h = whole(s, 3), out_w = whole(s, 4);

    return reserve(s, (size_t)out_h * (size_t)out_w * (size_t)c) != NULL &&
           pixels_resize(&(struct pixels_map){s->in, h, w, c}, s->out, out_h, out_w, NULL) == INFOMASK_OK;
}

/* h w radius feather: mask [h, w] -> [h, w] */
static bool step_dilate(struct step *s)
{
    size_t n = s->in_count;
    uint8_t *mask = malloc(n);
    bool done = mask != NULL && reserve(s, n) != NULL;

    for (size_t i = 0; i < n && done; i++)
        mask[i] = (uint8_t)s->in[i];
    done = done && pixels_dilate(mask, whole(s, 0), whole(s, 1), s->p[2], s->p[3], NULL) == INFOMASK_OK;
    for (size_t i = 0; i < n && done; i++)
        s->out[i] = (float)mask[i];
    free(mask);
    return done;
}

/* h w radius: rgb [h, w, 3], hole [h, w], 0..255 -> rgb [h, w, 3] */
static bool step_telea(struct step *s)
{
    size_t n = s->in_count / 4;
    uint8_t *bytes = malloc(4 * n);
    bool done = bytes != NULL && reserve(s, 3 * n) != NULL;

    for (size_t i = 0; i < 4 * n && done; i++)
        bytes[i] = (uint8_t)s->in[i];
    done = done && fill_inpaint(bytes, bytes + 3 * n, whole(s, 0), whole(s, 1), whole(s, 2), NULL) == INFOMASK_OK;
    for (size_t i = 0; i < 3 * n && done; i++)
        s->out[i] = (float)bytes[i];
    free(bytes);
    return done;
}

/* n c1 c2 weight1 weight2 centre: tensors [n, c1] and [n, c2], lab [n, 3], seeds [n]
 * -> x [n, c1 + c2], A [n, n] (upper triangle), p [n] */
static bool step_graph(struct step *s)
{
    size_t n = (size_t)s->p[0], c1 = (size_t)s->p[1], c2 = (size_t)s->p[2], c = c1 + c2;
    const float *lab = s->in + n * c, *seeds = lab + 3 * n;
    float *x = reserve(s, n * (c + n + 1)), *a = x + n * c, *p = a + n * n;
    float *planes = malloc(3 * n * sizeof *planes);
    bool done = x != NULL && planes != NULL && s->in_count == n * (c + 4);

    for (size_t i = 0; i < 3 * n && done; i++)
        planes[i % 3 * n + i / 3] = lab[i];
    done = done && mask_cells_part(s->in, (int)n, (int)c1, s->p[3], x, (int)c, 0, NULL) == INFOMASK_OK &&
           mask_cells_part(s->in + n * c1, (int)n, (int)c2, s->p[4], x, (int)c, (int)c1, NULL) == INFOMASK_OK;
    if (done) {
        mask_cells_unit(x, (int)n, (int)c);
        mask_affinity(kernels_best(), x, (int)n, (int)c, planes, a);
        done = mask_spread(a, (int)n, seeds, s->p[5], p, NULL, NULL) == INFOMASK_OK;
    }
    free(planes);
    return done;
}

/* h w d K target window: f [h, w, d], W [K, d], b [K]
 * -> [h, w] each of infoCAM, CAM, Grad-CAM++, LayerCAM, window PMI */
static bool step_maps(struct step *s)
{
    static const enum mask_method methods[] = {MASK_INFOCAM, MASK_CAM, MASK_GRADCAM_PP, MASK_LAYERCAM};
    int h = whole(s, 0), w = whole(s, 1), d = whole(s, 2), k = whole(s, 3), target = whole(s, 4);
    size_t n = (size_t)h * (size_t)w;
    const struct kernel_table *kernels = kernels_best();
    struct kernel_weights packed = {0};
    struct mask_window window = {.window = whole(s, 5)};
    struct mask_set set = mask_set_one(&target);
    float *mean = malloc((size_t)d * sizeof *mean), *last;
    struct mask_head head = {.w = s->in + n * (size_t)d, .classes = k, .features = d, .scale = 1, .mean_w = mean};
    const struct kernel_matrix matrix = {.w = head.w, .bias = head.w + (size_t)k * (size_t)d, .segments = 1, .segment_k = d,
                                         .n = k};
    bool done = mean != NULL && reserve(s, 5 * n) != NULL;

    head.b = matrix.bias;
    head.packed = &packed;
    if (done)
        head.mean_b = mask_head_mean(head.w, head.b, k, d, mean);
    done = done && kernels->pack(&packed, &matrix, NULL) == INFOMASK_OK;
    for (size_t i = 0; i < 4 && done; i++)
        done = mask_class_map(&head, methods[i], &set, 0, NULL, s->in, (int)n, s->out + i * n, NULL) == INFOMASK_OK;
    last = s->out + 4 * n;
    done = done && mask_window_pmi(&head, kernels, &window, s->in, h, w, &set, 1, &last, NULL) == INFOMASK_OK;
    kernel_weights_fini(&packed);
    free(mean);
    return done;
}

static const struct {
    const char *name;
    int parameters;
    bool (*run)(struct step *);
} steps[] = {
    {"guided", 4, step_guided}, {"otsu", 0, step_otsu},   {"lab", 0, step_lab},     {"resize", 5, step_resize},
    {"dilate", 4, step_dilate}, {"telea", 3, step_telea}, {"graph", 6, step_graph}, {"maps", 6, step_maps},
};

static float *read_floats(size_t *count)
{
    size_t room = 1 << 16, got;
    float *data = malloc(room * sizeof *data), *more;

    *count = 0;
    while (data != NULL && (got = fread(data + *count, sizeof *data, room - *count, stdin)) > 0) {
        *count += got;
        if (*count < room)
            continue;
        room *= 2;
        more = realloc(data, room * sizeof *data);
        if (more == NULL)
            free(data);
        data = more;
    }
    return data;
}

int main(int argc, char **argv)
{
    double parameters[8] = {0};
    struct step s = {.p = parameters};
    bool done = false;

    for (int i = 2; i < argc && i < 10; i++)
        parameters[i - 2] = strtod(argv[i], NULL);
    s.in = read_floats(&s.in_count);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && s.in != NULL; i++)
        if (argc == steps[i].parameters + 2 && strcmp(argv[1], steps[i].name) == 0)
            done = steps[i].run(&s);
    done = done && fwrite(s.out, sizeof *s.out, s.out_count, stdout) == s.out_count;
    free(s.in);
    free(s.out);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
