/* A model: the graph through its passes, the engine's packed weights, and the priors that its logits are read under. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/sha256.h"
#include "core/graph/graph.h"
#include "core/info/info.h"
#include "core/mask/mask.h"
#include "core/pipeline/pipeline.h"
#include "core/quant/quant.h"

struct infomask_model_spec infomask_default_spec(void)
{
    return (struct infomask_model_spec){.width = 224,
                                        .height = 224,
                                        .color = INFOMASK_RGB,
                                        .fit = INFOMASK_CROP,
                                        .crop = 0.875,
                                        .resize = "bicubic",
                                        .std = {1, 1, 1},
                                        .temperature = 1,
                                        .precision = INFOMASK_F32};
}

static enum infomask_status filter_named(const char *name, enum image_filter *filter, struct infomask_error *err)
{
    static const struct {
        const char *name;
        enum image_filter filter;
    } filters[] = {{"bicubic", IMAGE_BICUBIC},
                   {"bilinear", IMAGE_BILINEAR},
                   {"nearest", IMAGE_NEAREST},
                   {"lanczos", IMAGE_LANCZOS}};

    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (name == NULL || strcmp(name, filters[i].name) == 0) {
            *filter = filters[i].filter;
            return INFOMASK_OK;
        }
    return error_set(err, INFOMASK_BAD_MODEL, "resize \"%.40s\" is none of bicubic, bilinear, nearest, lanczos", name);
}

enum infomask_status pipeline_read(const struct infomask_model_spec *spec, bool fixed, struct graph **graph,
                                   struct infomask_error *err)
{
    const struct onnx_size size = {spec->height, spec->width, fixed};
    enum infomask_status status = onnx_read_for(spec->path, spec->output, size, graph, err);

    if (status == INFOMASK_OK)
        status = graph_infer_shapes(*graph, err);
    if (status == INFOMASK_OK && spec->embeddings != NULL)
        status = embeddings_append(spec, *graph, err);
    if (status == INFOMASK_OK)
        status = graph_fold_constants(*graph, err);
    return status;
}

enum infomask_status pipeline_fuse(struct graph *graph, struct infomask_error *err)
{
    enum infomask_status status = graph_fuse(graph, err);

    return status == INFOMASK_OK ? graph_prune(graph, err) : status;
}

#define LEAST_SECONDS 0.005
#define SECONDS_A_BYTE 0.15e-9 /* a twentieth of what reading and packing take */

/* Seconds that the comparison at load may take: 5 % of the load, or so little that nobody sees it. */
static double patience(const struct infomask_model_spec *spec)
{
    struct stat file;

    if (spec->verify == INFOMASK_VERIFY_WHOLE)
        return HUGE_VAL;
    return stat(spec->path, &file) == 0 ? fmax(LEAST_SECONDS, SECONDS_A_BYTE * (double)file.st_size) : 0;
}

static enum infomask_status differs(const struct infomask_model_spec *spec, double error, double most,
                                    struct infomask_error *err)
{
    return error_set(
        err, INFOMASK_DIFFERS,
        "as it would be served it differs from %s, by %.2g of the spread of its outputs (at most %g): it is "
        "not served",
        spec->precision == INFOMASK_INT8 ? "the same rounded weights on the reference kernels"
                                         : "its layers computed one by one",
        error, most);
}

/* *verify: NULL if nothing is to be compared, or it is known what would come out. */
static enum infomask_status begin_verify(struct infomask_model *model, const struct infomask_model_spec *spec,
                                         const struct engine_options *options, const struct graph *graph,
                                         struct engine_verify **verify, struct infomask_error *err)
{
    const struct kernel_table *kernels = options->kernels != NULL ? options->kernels : kernels_best();
    const struct infomask_known *known = spec->verify == INFOMASK_VERIFY_AT_LOAD ? spec->known : NULL;

    *verify = NULL;
    if (spec->verify == INFOMASK_VERIFY_NOT)
        return INFOMASK_OK;
    if (known != NULL && strcmp(known->digest, model->info.digest) == 0) {
        model->info.verified = true;
        model->info.how = INFOMASK_VERIFIED_KNOWN;
        model->info.equal = known->equal;
        model->info.error = known->error;
        model->info.most = known->most;
        return known->equal ? INFOMASK_OK : differs(spec, known->error, known->most, err);
    }
    if (options->precision == ENGINE_INT8) /* rounded for photos: on noise it differs from the file by any amount */
        return INFOMASK_OK;
    if (spec->verify == INFOMASK_VERIFY_WHOLE)
        kernels = kernels_get(KERNEL_REF);
    return engine_verify_begin(verify, graph, kernels, spec->height, spec->width, patience(spec), err);
}

static void keep_verified(struct infomask_model *model, enum infomask_how how, const struct engine_verified *found)
{
    model->info.verified = true;
    model->info.how = how;
    model->info.equal = found->equal;
    model->info.error = found->error;
    model->info.most = found->most;
    model->info.not_finite = found->not_finite;
    model->info.constant = found->constant;
}

static enum infomask_status end_verify(struct infomask_model *model, const struct infomask_model_spec *spec,
                                       const struct engine_verify *verify, struct infomask_error *err)
{
    bool whole = spec->verify == INFOMASK_VERIFY_WHOLE;
    struct engine_verified found;
    enum infomask_status status;

    if (verify == NULL)
        return INFOMASK_OK;
    status = engine_verify_end(verify, model->engine, &found, err);
    if (status != INFOMASK_OK || !found.compared)
        return status;
    keep_verified(model,
                  whole         ? INFOMASK_VERIFIED_WHOLE
                  : found.whole ? INFOMASK_VERIFIED_SMALL
                                : INFOMASK_VERIFIED_LAYERS,
                  &found);
    return found.equal || whole ? INFOMASK_OK : differs(spec, found.error, found.most, err);
}

#define SMALL_SIDE 64 /* of the picture that rounded weights are compared on at a load, where the network takes any */

/* At the load's small size, or where that is none, at the network's own. */
static enum infomask_status compare_int8(struct infomask_model *model, const struct infomask_model_spec *spec,
                                         struct engine_model *reference, struct engine_verified *found,
                                         struct infomask_error *err)
{
    bool fixed = engine_model_info(model->engine)->fixed_size;
    int h = spec->height < SMALL_SIDE || fixed ? spec->height : SMALL_SIDE;
    int w = spec->width < SMALL_SIDE || fixed ? spec->width : SMALL_SIDE;

    if (spec->verify == INFOMASK_VERIFY_AT_LOAD &&
        engine_verify_int8(model->engine, reference, h, w, false, found, err) == INFOMASK_OK)
        return INFOMASK_OK;
    return engine_verify_int8(model->engine, reference, spec->height, spec->width,
                              spec->verify == INFOMASK_VERIFY_WHOLE, found, err);
}

/* Of int8 there is no other word on what is right than the same network on the reference kernels. */
static enum infomask_status verify_int8(struct infomask_model *model, const struct infomask_model_spec *spec,
                                        const struct engine_options *served, struct infomask_error *err)
{
    struct engine_options options = *served;
    struct engine_model *reference = NULL;
    struct engine_verified found = {0};
    struct graph *graph = NULL;
    enum infomask_status status = pipeline_read(spec, false, &graph, err);

    if (status == INFOMASK_OK)
        status = pipeline_fuse(graph, err);
    if (status != INFOMASK_OK) {
        graph_free(graph);
        return status;
    }
    options.kernels = kernels_get(KERNEL_REF);
    status = engine_model_create(&reference, graph, &options, err);
    if (status == INFOMASK_OK)
        status = compare_int8(model, spec, reference, &found, err);
    engine_model_free(reference);
    if (status != INFOMASK_OK || !found.compared)
        return status;
    keep_verified(model, spec->verify == INFOMASK_VERIFY_WHOLE ? INFOMASK_VERIFIED_WHOLE : INFOMASK_VERIFIED_SMALL,
                  &found);
    return found.equal || spec->verify == INFOMASK_VERIFY_WHOLE ? INFOMASK_OK
                                                                : differs(spec, found.error, found.most, err);
}

/* The embeddings of an encoder's classes are a part of the classifier as the file is. */
static enum infomask_status add_embeddings(struct infomask_model *model, const struct infomask_model_spec *spec,
                                           char head[SHA256_HEX], struct infomask_error *err)
{
    char *both;
    int length;

    sha256_bytes(spec->embeddings, spec->embedding_rows * spec->embedding_size * sizeof *spec->embeddings, head);
    length = asprintf(&both, "%s %s %.17g", model->info.sha256, head, spec->embedding_scale);
    if (length < 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    sha256_bytes(both, (size_t)length, model->info.sha256);
    free(both);
    return INFOMASK_OK;
}

/* The file's digest, and that of all that makes the network what it is. */
static enum infomask_status set_digests(struct infomask_model *model, const struct infomask_model_spec *spec,
                                        struct graph *graph, struct infomask_error *err)
{
    char files[SHA256_HEX], int8[SHA256_HEX] = "", head[SHA256_HEX] = "", *all;
    enum infomask_status status = INFOMASK_OK;
    int length;

    graph_sha256(graph, model->info.sha256, files);
    if (spec->precision == INFOMASK_INT8 && spec->int8_path != NULL && access(spec->int8_path, F_OK) != 0)
        return error_set(err, INFOMASK_IO, "its int8 weights are not there: infomask models quantize makes them");
    if (spec->precision == INFOMASK_INT8 && spec->int8_path != NULL)
        status = sha256_file(spec->int8_path, int8, err);
    if (status == INFOMASK_OK && spec->embeddings != NULL)
        status = add_embeddings(model, spec, head, err);
    if (status != INFOMASK_OK)
        return status;
    length = asprintf(&all, "%s %s %s %.17g %d %d %s", files, int8, head, spec->embedding_scale, spec->width,
                      spec->height, spec->output != NULL ? spec->output : "");
    if (length < 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    sha256_bytes(all, (size_t)length, model->info.digest);
    free(all);
    return status;
}

/* The quantised weights, if the precision wants them. */
static enum infomask_status read_int8(const struct infomask_model *model, const struct infomask_model_spec *spec,
                                      struct quant **quant, struct infomask_error *err)
{
    if (spec->int8_path == NULL)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "this model has no int8 weights: infomask models quantize makes them");
    return quant_read(spec->int8_path, model->info.sha256, quant, err);
}

/* int8: the quantised weights, if somebody has them; else they are read where they are needed.  fixed: see
 * pipeline_read. */
static enum infomask_status load_engine(struct infomask_model *model, const struct infomask_model_spec *spec,
                                        const struct quant *int8, bool fixed, struct infomask_error *err)
{
    struct engine_options options = {.precision = (enum engine_precision)spec->precision,
                                     .arena_limit = spec->arena_limit,
                                     .head_dropout = spec->dropout};
    struct quant *quant = NULL;
    struct graph *graph = NULL;
    struct engine_verify *verify = NULL;
    enum infomask_status status = INFOMASK_OK;

    if (spec->precision == INFOMASK_AUTO)
        return error_set(err, INFOMASK_ARGUMENT, "precision auto is chosen by who reads the model's folder");
    if (spec->isa != NULL)
        status = kernels_named(spec->isa, &options.kernels, err);
    if (status == INFOMASK_OK)
        status = pipeline_read(spec, fixed, &graph, err);
    if (status == INFOMASK_OK)
        status = set_digests(model, spec, graph, err);
    if (status == INFOMASK_OK && int8 == NULL && spec->precision == INFOMASK_INT8)
        status = read_int8(model, spec, &quant, err);
    if (status == INFOMASK_OK)
        status = begin_verify(model, spec, &options, graph, &verify, err);
    if (status == INFOMASK_OK)
        status = pipeline_fuse(graph, err);
    if (status != INFOMASK_OK) {
        graph_free(graph);
        quant_free(quant);
        engine_verify_free(verify);
        return status;
    }
    model->squashed = pipeline_output_kind(graph) == INFOMASK_HEAD_SIGMOID;
    model->sigmoid = spec->head == INFOMASK_HEAD_SIGMOID || (spec->head == INFOMASK_HEAD_AUTO && model->squashed);
    int8 = int8 != NULL ? int8 : quant;
    options.int8 = int8 != NULL ? &int8->int8 : NULL;
    status = engine_model_create(&model->engine, graph, &options, err);
    if (status == INFOMASK_OK && options.int8 != NULL && spec->verify != INFOMASK_VERIFY_NOT &&
        !model->info.verified)
        status = verify_int8(model, spec, &options, err);
    quant_free(quant);
    if (status == INFOMASK_OK)
        status = end_verify(model, spec, verify, err);
    engine_verify_free(verify);
    model->kernels = options.kernels != NULL ? options.kernels : kernels_best();
    return status;
}

/* Where only the network's own size works, which the file does not tell, it is read once more with that size known, if
 * that may bring to light a head. */
static enum infomask_status load_network(struct infomask_model *model, const struct infomask_model_spec *spec,
                                         const struct quant *int8, struct infomask_error *err)
{
    enum infomask_status status = load_engine(model, spec, int8, false, err);
    struct infomask_error none;

    if (status == INFOMASK_OK && engine_model_info(model->engine)->asks_for_size) {
        engine_model_free(model->engine); /* two would need twice the memory */
        model->engine = NULL;
        status = load_engine(model, spec, int8, true, &none);
        if (status != INFOMASK_OK) {
            engine_model_free(model->engine);
            model->engine = NULL;
            status = load_engine(model, spec, int8, false, err);
        }
    }
    if (status == INFOMASK_OK)
        model->network = engine_model_info(model->engine);
    return status;
}

/* Does what model.json says fit what the file holds? */
static enum infomask_status check_network(const struct engine_info *net, const struct infomask_model_spec *spec,
                                          bool sigmoid, struct infomask_error *err)
{
    int channels = spec->color == INFOMASK_GRAY ? 1 : 3;

    if (spec->labels != 0 && spec->labels != net->outputs)
        return error_set(err, INFOMASK_BAD_MODEL, "the network has %zu outputs, but there are %zu labels", net->outputs,
                         spec->labels);
    if (net->outputs < (sigmoid ? 1 : 2))
        return error_set(err, INFOMASK_BAD_MODEL, "a classifier has at least 2 outputs, this network has %zu",
                         net->outputs);
    if (net->channels != channels)
        return error_set(err, INFOMASK_BAD_MODEL, "the network takes %d channels, but its input colour gives %d",
                         net->channels, channels);
    if (spec->width < 1 || spec->height < 1 ||
        (net->fixed_size && net->width > 0 && (net->width != spec->width || net->height != spec->height)))
        return error_set(err, INFOMASK_BAD_MODEL, "the network takes pictures of %d x %d, but its input says %d x %d",
                         net->width, net->height, spec->width, spec->height);
    for (int i = 0; i < channels; i++)
        if (!(spec->std[i] > 0) || !isfinite(spec->std[i]) || !isfinite(spec->mean[i]))
            return error_set(err, INFOMASK_BAD_MODEL, "mean and std must be finite, and std positive");
    return INFOMASK_OK;
}

/* log of the normalised p; uniform for NULL. */
static enum infomask_status log_prior_new(const double *p, size_t k, double **out, struct infomask_error *err)
{
    double sum = 0, *log_p = malloc(k * sizeof *log_p);

    if (log_p == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    for (size_t i = 0; i < k && p != NULL; i++) {
        sum += p[i];
        if (!(p[i] > 0) || !isfinite(sum)) {
            free(log_p);
            return error_set(err, INFOMASK_BAD_MODEL, "the prior of class %zu is not a positive number", i);
        }
    }
    for (size_t i = 0; i < k; i++)
        log_p[i] = p != NULL ? log(p[i] / sum) : -log((double)k);
    *out = log_p;
    return INFOMASK_OK;
}

/* log of each class's own prior of being there; a half for NULL. */
static enum infomask_status binary_prior_new(const double *p, size_t k, double **out, struct infomask_error *err)
{
    double *log_p = malloc(k * sizeof *log_p);

    if (log_p == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    for (size_t i = 0; i < k; i++) {
        double t = p != NULL ? p[i] : 0.5;
        if (!(t > 0 && t < 1)) {
            free(log_p);
            return error_set(err, INFOMASK_BAD_MODEL,
                             "the prior of class %zu must be between 0 and 1, as of a model of several "
                             "labels a photo",
                             i);
        }
        log_p[i] = log(t);
    }
    *out = log_p;
    return INFOMASK_OK;
}

static enum infomask_status set_priors(struct infomask_model *model, const struct infomask_model_spec *spec,
                                       struct infomask_error *err)
{
    const double *inside = spec->logit_prior != NULL ? spec->logit_prior : spec->pc_softmax ? NULL : spec->prior;
    size_t k = model->network->outputs;
    enum infomask_status (*make)(const double *, size_t, double **, struct infomask_error *) =
        model->sigmoid ? binary_prior_new : log_prior_new;
    enum infomask_status status = make(spec->prior, k, &model->log_prior, err);

    if (status == INFOMASK_OK)
        status = make(inside, k, &model->log_logit_prior, err);
    return status;
}

/* Are the head's logits those that the outputs are read as?  (A softmax's may not be asked as a sigmoid's.) */
static bool knows_head(const struct infomask_model *model)
{
    const struct engine_info *net = model->network;
    return net->head != ENGINE_HEAD_NONE && (model->sigmoid ? !net->softmax_output : !net->squashed);
}

static enum infomask_map_kind map_kind(const struct infomask_model *model)
{
    if (!knows_head(model))
        return INFOMASK_NO_MAP;
    if (model->network->pooled_head)
        return INFOMASK_MAP_LINEAR;
    return model->network->piecewise ? INFOMASK_MAP_PIECEWISE : INFOMASK_MAP_FIRST_ORDER;
}

/* What every class map of this head needs. */
static enum infomask_status set_head(struct infomask_model *model, struct infomask_error *err)
{
    const struct engine_info *net = model->network;

    if (!net->pooled_head || !knows_head(model))
        return INFOMASK_OK;
    model->head_mean = malloc((size_t)net->features * sizeof *model->head_mean);
    if (model->head_mean == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    model->head_mean_bias =
        mask_head_mean(net->head_w, net->head_b, (int)net->outputs, net->features, model->head_mean);
    return INFOMASK_OK;
}

static void set_info(struct infomask_model *model)
{
    const struct engine_info *net = model->network;
    struct infomask_model_info *info = &model->info;

    info->classes = net->outputs;
    info->width = model->spec.width;
    info->height = model->spec.height;
    info->channels = net->channels;
    info->stride = net->stride;
    info->sigmoid = model->sigmoid;
    info->map = map_kind(model);
    info->class_map = info->map != INFOMASK_NO_MAP;
    info->windows = info->class_map && net->head != ENGINE_HEAD_FLAT;
    info->layers = info->class_map && !net->pooled_head;
    info->features = info->map == INFOMASK_MAP_LINEAR && !model->sigmoid ? (size_t)net->features : 0;
    info->noise = net->noise && !model->sigmoid;
    info->fixed_size = net->fixed_size;
    info->isa = net->isa;
    info->precision = engine_precision_name(net->precision);
    info->weight_bytes = net->weight_bytes;
    info->memory_bytes = net->weight_bytes + 2 * net->outputs * sizeof(double);
    if (net->pooled_head)
        info->memory_bytes += (net->outputs + 1) * ((size_t)net->features + 1) * sizeof(float);
    info->prior_entropy = model->sigmoid ? info_binary_entropy(model->log_prior, net->outputs)
                                         : info_entropy(model->log_prior, net->outputs);
}

static enum infomask_status copy_groups(struct infomask_model *model, const struct infomask_model_spec *spec,
                                        struct infomask_error *err)
{
    size_t total = 0;

    if (model->sigmoid && spec->group_count > 0)
        return error_set(err, INFOMASK_BAD_MODEL, "groups are of classes that exclude each other; this model's do not");
    for (int g = 0; g < spec->group_count; g++)
        total += (size_t)spec->groups[g].count;
    model->groups = malloc(((size_t)spec->group_count + 1) * sizeof *model->groups);
    model->members = malloc((total + 1) * sizeof *model->members);
    if (model->groups == NULL || model->members == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the groups of classes");
    total = 0;
    for (int g = 0; g < spec->group_count; g++) {
        const struct infomask_group *group = &spec->groups[g];
        int *members = model->members + total, last = -1;
        for (int i = 0; i < group->count; last = group->members[i++]) {
            if (group->members[i] <= last || (size_t)group->members[i] >= model->network->outputs)
                return error_set(err, INFOMASK_BAD_MODEL, "member %d of group %d is out of order or no class", i, g);
            members[i] = group->members[i];
        }
        if (group->count < 1)
            return error_set(err, INFOMASK_BAD_MODEL, "group %d has no member", g);
        model->groups[g] = (struct infomask_group){members, group->count};
        total += (size_t)group->count;
    }
    model->info.groups = spec->group_count;
    return INFOMASK_OK;
}

/* The plain values stay; what points into the caller's memory is dropped. */
static void copy_spec(struct infomask_model *model, const struct infomask_model_spec *spec)
{
    static const enum image_color colors[] = {
        [INFOMASK_RGB] = IMAGE_RGB, [INFOMASK_BGR] = IMAGE_BGR, [INFOMASK_GRAY] = IMAGE_GRAY};
    struct infomask_model_spec *own = &model->spec;

    *own = *spec;
    own->path = own->output = own->resize = own->isa = own->int8_path = NULL;
    own->known = NULL;
    own->prior = own->logit_prior = NULL;
    own->embeddings = NULL;
    own->groups = NULL;
    model->probabilities = !model->sigmoid && (spec->probabilities || spec->head == INFOMASK_HEAD_PROBABILITIES ||
                                               model->network->softmax_output);
    model->temperature = spec->temperature > 0 ? spec->temperature : 1;
    model->normalise.color = colors[spec->color];
    memcpy(model->normalise.mean, spec->mean, sizeof spec->mean);
    memcpy(model->normalise.std, spec->std, sizeof spec->std);
}

static enum infomask_status load(const struct infomask_model_spec *spec, const struct quant *int8,
                                 struct infomask_model **out, struct infomask_error *err)
{
    struct infomask_model *model = calloc(1, sizeof *model);
    enum infomask_status status;

    if (model == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    status = filter_named(spec->resize, &model->filter, err);
    if (status == INFOMASK_OK)
        status = load_network(model, spec, int8, err);
    if (status == INFOMASK_OK)
        status = check_network(model->network, spec, model->sigmoid, err);
    if (status == INFOMASK_OK) {
        copy_spec(model, spec);
        status = copy_groups(model, spec, err);
    }
    if (status == INFOMASK_OK)
        status = set_priors(model, spec, err);
    if (status == INFOMASK_OK)
        status = set_head(model, err);
    if (status != INFOMASK_OK) {
        infomask_model_free(model);
        return status;
    }
    set_info(model);
    *out = model;
    return INFOMASK_OK;
}

enum infomask_status infomask_model_load(const struct infomask_model_spec *spec, struct infomask_model **model,
                                         struct infomask_error *err)
{
    return load(spec, NULL, model, err);
}

enum infomask_status pipeline_load_int8(const struct infomask_model_spec *spec, const struct quant *int8,
                                        struct infomask_model **model, struct infomask_error *err)
{
    struct infomask_model_spec own = *spec;

    own.precision = INFOMASK_INT8;
    return load(&own, int8, model, err);
}

void infomask_model_unload(struct infomask_model *model)
{
    engine_model_free(model->engine);
    free(model->head_mean);
    model->engine = NULL;
    model->network = NULL;
    model->head_mean = NULL;
}

void infomask_model_free(struct infomask_model *model)
{
    if (model == NULL)
        return;
    infomask_model_unload(model);
    free(model->groups);
    free(model->members);
    free(model->log_prior);
    free(model->log_logit_prior);
    free(model);
}

/* A whole model is loaded beside the one that has none, and only what a session reads is taken out of it: info and
 * priors, which other threads may be reading, stay as they are. */
enum infomask_status infomask_model_reload(struct infomask_model *model, const struct infomask_model_spec *spec,
                                           struct infomask_error *err)
{
    const struct infomask_model_info *info = &model->info;
    struct infomask_known known = {.equal = info->equal, .error = info->error, .most = info->most};
    struct infomask_model_spec own = *spec;
    struct infomask_model *made;
    enum infomask_status status;

    memcpy(known.digest, info->digest, sizeof known.digest);
    if (info->verified)
        own.known = &known;
    status = load(&own, NULL, &made, err);
    if (status != INFOMASK_OK)
        return status;
    if (strcmp(made->info.digest, info->digest) != 0) {
        infomask_model_free(made);
        return error_set(err, INFOMASK_BAD_MODEL, "its files hold another network than when it was loaded first");
    }
    model->engine = made->engine;
    model->network = made->network;
    model->head_mean = made->head_mean;
    made->engine = NULL;
    made->head_mean = NULL;
    infomask_model_free(made);
    return INFOMASK_OK;
}

const struct infomask_model_info *infomask_model_info(const struct infomask_model *model) { return &model->info; }

enum infomask_status infomask_session_create(struct infomask_model *model, struct pool *pool,
                                             struct infomask_session **out, struct infomask_error *err)
{
    struct infomask_session *session;
    enum infomask_status status;

    if (model->engine == NULL)
        return error_set(err, INFOMASK_INTERNAL, "the model's network is not in memory");
    session = calloc(1, sizeof *session);
    if (session == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a session");
    session->model = model;
    session->pool = pool;
    status = engine_session_create(&session->engine, model->engine, pool, err);
    if (status != INFOMASK_OK) {
        free(session);
        return status;
    }
    *out = session;
    return INFOMASK_OK;
}

void infomask_session_free(struct infomask_session *session)
{
    if (session == NULL)
        return;
    engine_session_free(session->engine);
    free(session);
}

void infomask_session_trim(struct infomask_session *session) { engine_session_trim(session->engine); }

size_t infomask_session_bytes(const struct infomask_session *session) { return engine_session_bytes(session->engine); }
