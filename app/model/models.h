/* Model folders (api.md section 4): reads model.json and labels.txt, hands core a struct of plain values, finds classes
 * by what people call them, and keeps the catalogue of the folders under --models-dir.
 *
 * A struct model is immutable once loaded and counted by reference: a request takes one and releases it at its end, so
 * that a reload swaps the catalogue under running requests.  Only its network may leave the memory and come back: who
 * runs it pins it.  Thread rule: everything here may be called by any thread, except models_free, which must come last.
 */
#ifndef APP_MODEL_MODELS_H
#define APP_MODEL_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "app/json/json.h"
#include "app/model/failures.h"
#include "app/model/groups.h"
#include "app/model/kept.h"
#include "app/model/statistics.h"
#include "core/infomask.h"

struct model_options {
    const char *isa;    /* as infomask_model_spec.isa; NULL or "auto": the best */
    enum infomask_precision precision;
    size_t arena_limit; /* bytes per session; 0: core's default */
    struct pool *pool;  /* whose idle threads help the sessions; may be NULL */
    enum infomask_verify verify; /* WHOLE: how it came out is in model_info, and it is loaded whatever that is */
    const char *state_dir; /* the setting, for what is known of models whose folders cannot be written; may be NULL */
    void (*warn)(void *context, const char *sentence); /* unknown keys, folders that cannot be loaded; may be NULL */
    void (*note)(void *context, const char *sentence); /* networks that are loaded again and unloaded; may be NULL */
    void *warn_context; /* of both */
    bool serves;        /* the catalogue has threads that load again what was unloaded */
    size_t memory;      /* with it: bytes of networks that may be in memory; 0: any */
};

struct model;
struct models;

/* Loads one folder.  BAD_MODEL with a sentence that names the file and the key; IO; what core says of the network. */
enum infomask_status model_load(const char *folder, const struct model_options *options, struct model **model,
                                struct infomask_error *err) __attribute__((warn_unused_result));
/* Keeps what a comparison (model_options.verify WHOLE, or that of int8) has found for the loads to come: beside the
 * model, or where its folder cannot be written in the state's. IO. */
enum infomask_status model_keep_check(const struct model *model, const char *state_dir, struct infomask_error *err)
    __attribute__((warn_unused_result));
struct model *model_hold(struct model *model); /* one more reference; returns the model */
void model_release(struct model *model);       /* the last one frees it; NULL does nothing */

const char *model_name(const struct model *model);
const char *model_folder_path(const struct model *model); /* where it was read from */
const char *model_version(const struct model *model);
uint64_t model_serial(const struct model *model); /* random, of this loading: no other model has it */
struct infomask_model *model_core(const struct model *model);
const struct infomask_model_info *model_info(const struct model *model);
const struct json *model_document(const struct model *model); /* model.json as it was read, unknown keys included */
const struct infomask_model_spec *model_spec(const struct model *model);
struct statistics *model_statistics(struct model *model); /* from zero at each reading of its folder */

/* What is said of a model from its loading to its end; empty until somebody writes it. */
enum model_text { MODEL_LABELS, MODEL_GROUPS, MODEL_DESCRIPTION, MODEL_DESCRIPTION_DEFAULT, MODEL_TEXTS };
struct kept_slot *model_text(struct model *model, enum model_text text);

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

size_t model_classes(const struct model *model);
/* The class's name, UTF-8: its line of labels.txt, or its index in digits where the folder has no labels.  Of a group,
 * whose index is a target's, the group's name. */
const char *model_label(const struct model *model, size_t index);
/* Its further names, in the file's order; count may be 0. */
const char *const *model_aliases(const struct model *model, size_t index, size_t *count);

enum model_class_status { MODEL_CLASS_FOUND, MODEL_CLASS_UNKNOWN, MODEL_CLASS_AMBIGUOUS };

/* `name`: an index (all digits), else an exact label or alias; with "label:" before it, a label or alias whatever it is
 * made of.  On failure err (status ARGUMENT) lists the indices that share the name, or the nearest names. */
enum model_class_status model_find_class(const struct model *model, const char *name, int *index,
                                         struct infomask_error *err) __attribute__((warn_unused_result));

struct labels;
const struct labels *model_labels(const struct model *model);

/* Targets: a class, or from model_classes on a group of groups.tsv; model_label knows both. */
const struct groups *model_groups(const struct model *model);
bool model_is_group(const struct model *model, int target);

enum model_target_status { MODEL_TARGET_FOUND, MODEL_TARGET_NO_CLASS, MODEL_TARGET_NO_GROUP, MODEL_TARGET_AMBIGUOUS };
/* A class as model_find_class finds it, else a group by its name, else by an alias; with "group:" before it a group
 * only. */
enum model_target_status model_find_target(const struct model *model, const char *name, int *target,
                                           struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

/* A session of this model for the caller alone: an idle one, or a new one.  Give it back with model_session_give, which
 * keeps it for the next (up to as many as the pool has threads).  Hold the model while a session is out. */
enum infomask_status model_session_take(struct model *model, struct infomask_session **session,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
void model_session_give(struct model *model, struct infomask_session *session); /* NULL does nothing */

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

enum model_state {
    MODEL_READY,    /* its network is in memory */
    MODEL_LOADING,  /* somebody waits for it */
    MODEL_UNLOADED, /* it gave its memory to others; it comes back when it is asked */
    MODEL_STOPPED,  /* models_unload: it does not, until it is loaded or the folders are looked at again */
    MODEL_FAILED    /* the last time it could not be loaded again; the next who asks makes it try */
};
/* READY for a model of no catalogue.  why (may be NULL) tells of FAILED. */
enum model_state model_state(const struct model *model, struct infomask_error *why);

/* A pin that waits: its owner's until `wake` is called, once, by any thread. */
struct model_wait {
    void (*wake)(struct model_wait *wait);
    double deadline_ms;
    struct infomask_error error; /* for wake.  Status OK: pinned; CANCELLED: the name stands for another model by now,
                                  * ask for it again; DEADLINE, or what the load failed with: not pinned */
    TAILQ_ENTRY(model_wait) entry; /* the catalogue's */
};

enum model_pin { MODEL_PINNED, MODEL_WAITS, MODEL_NOT_PINNED };
/* Keeps the network of a held model of the catalogue in memory until model_unpin: before a session is taken.  WAITS: it
 * is out, or about to go, and wait->wake (which may have been called already) tells.  NOT_PINNED: err says why
 * (ARGUMENT: models_unload). */
enum model_pin model_pin(struct model *model, struct model_wait *wait, struct infomask_error *err)
    __attribute__((warn_unused_result));
void model_unpin(struct model *model);
/* Ends the waits whose deadline has passed. */
void models_expire(struct models *models, double now_ms);

struct models_memory {
    size_t bound, bytes;   /* bound 0: none; bytes of the networks in memory and of those that come */
    int loaded, waiting;   /* networks; pins */
    uint64_t loads, unloads, failures;
};
struct models_memory models_memory(struct models *models);

/* ---- The catalogue ----------------------------------------------------------------------------------------------- */

/* Loads every folder of the directories (below) that has a model.json; a folder that cannot be loaded is warned about
 * and left out, unless it is the default model.  default_model: a name in them, or the path of a folder (one with a
 * '/'); with "" efficientnet-lite0 if it is there, else the first by name.  The strings and the options are copied; the
 * pool must outlive it. */
enum infomask_status models_create(const char *directories, const char *default_model,
                                   const struct model_options *options, struct models **models,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
void models_free(struct models *models);

/* The named model (NULL or "": the default), held for the caller; NULL when there is none of that name, with the names
 * that there are in err (ARGUMENT: the service's no_such_model), when it was unloaded (the same), or (BAD_MODEL:
 * model_failed) why its folder was not loaded.  Its network may be out: MODEL_UNLOADED. */
struct model *models_get(struct models *models, const char *name, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The same, whether it was unloaded or not. */
struct model *models_find(struct models *models, const char *name, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* All of them by name, unloaded ones too, each held; free with models_list_free.  The default model's index is
 * *default_index. */
enum infomask_status models_list(struct models *models, struct model ***list, size_t *count, size_t *default_index,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
void models_list_free(struct model **list, size_t count);
/* The folders that could not be loaded when they were last looked at; free with model_failures_fini. */
struct model_failures models_failed(struct models *models);

struct models_changes {
    int added, changed, removed, unchanged, failed;
};
/* Looks at the folders again: a folder is loaded anew if model.json, labels or the network's file has another size or
 * time.  What fails to load keeps its old version, and is warned about.  `changes` may be NULL.  What models_unload
 * took out of service may be asked again. */
enum infomask_status models_reload(struct models *models, struct models_changes *changes, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The same for the sake of one model: others that were unloaded stay so.  It is in memory once it is pinned. */
enum infomask_status models_load(struct models *models, const char *name, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Takes the model out of service, and out of memory, until it is loaded or the folders are looked at again; requests
 * that have it pinned end as they began.  ARGUMENT: there is none of that name, it is unloaded already, or it is the
 * default model, which the service cannot be without. */
enum infomask_status models_unload(struct models *models, const char *name, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Frees the idle sessions' surplus memory of all models. */
void models_trim(struct models *models);

#endif
