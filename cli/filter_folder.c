/* infomask filter DIR -o OUT: every photo of a folder.  What was done stands in OUT/verdicts.jsonl (or .tsv), a line a
 * photo, written as it goes: a run that was ended goes on where it was.  A photo without the target is copied as it is.
 */
#include "cli/filter.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/batch/done.h"
#include "cli/batch/interrupt.h"
#include "cli/progress.h"
#include "core/infomask_lab.h"

#define CELL 160    /* pixels of a small picture of the sheet, and between them GAP */
#define GAP 8
#define PAIRS 4     /* in a row */
#define MOST_PAIRS 1500

struct run {
    struct work *work;
    struct filtering *filtering;
    const struct photos *photos;
    struct progress progress;
    char *list_path;
    char *asked; /* the model and the parameters that were given, as in a query */
    struct done done; /* by an earlier run */
    FILE *lines;
    size_t changed, untouched, no_room, done_before, no_photo, failed, short_of_it;
    uint8_t *sheet; /* [height][width][3] */
    int pairs;
    bool over; /* nothing more can be written */
};

bool filter_is_folder(const struct cli *cli, const struct output *output)
{
    struct stat at;

    if (output->list != NULL)
        return true;
    for (int i = 0; i < cli->operand_count; i++)
        if (stat(cli->operands[i], &at) == 0 && S_ISDIR(at.st_mode))
            return true;
    return false;
}

/* Does `out` lie in `folder`, or is it the folder?  It may not be there yet: then its parent decides. */
static bool lies_in(const char *out, const char *folder)
{
    char *in = realpath(folder, NULL), *of = realpath(out, NULL), *copy = NULL;
    size_t length = in != NULL ? strlen(in) : 0;
    bool inside;

    if (of == NULL && (copy = strdup(out)) != NULL) {
        size_t end = strlen(copy);
        while (end > 1 && copy[end - 1] == '/')
            copy[--end] = '\0';
        char *slash = strrchr(copy, '/');
        if (slash != NULL)
            slash[slash == copy] = '\0';
        of = realpath(slash != NULL ? copy : ".", NULL);
    }
    inside = in != NULL && of != NULL && strncmp(in, of, length) == 0 &&
             (of[length] == '\0' || of[length] == '/' || length == 1);
    free(in);
    free(of);
    free(copy);
    return inside;
}

int filter_folder_check(const struct cli *cli, const struct filtering *filtering)
{
    const char *command = cli->command, *out = filtering->output.path;
    struct stat at;

    if (cli->operand_count > 1)
        return cli_misused(command, "a folder is filtered alone: infomask filter FOLDER -o OUT");
    if (stat(out, &at) == 0 && !S_ISDIR(at.st_mode))
        return cli_misused(command, "%s is not a folder", out);
    if (cli->operand_count > 0 && lies_in(out, cli->operands[0]))
        return cli_misused(command, "%s lies in the folder that is read; the photos there stay as they are", out);
    return -1;
}

/* Its path below the folder that is read. */
static const char *sample_of(const struct run *run, size_t i)
{
    return run->photos->entries[i].sample;
}

/* ---- Where a photo goes ------------------------------------------------------------------------------------------ */

static size_t stem_length(const char *sample)
{
    const char *name = file_name(sample), *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? (size_t)(dot - sample) : strlen(sample);
}

/* Is there another photo of that name with another ending?  They lie near each other in the list, which is sorted. */
static bool is_shared(const struct run *run, size_t i)
{
    const char *sample = sample_of(run, i);
    size_t length = stem_length(sample);

    for (int step = -1; step <= 1; step += 2)
        for (size_t k = i + (size_t)step; k < run->photos->count; k += (size_t)step) {
            const char *other = sample_of(run, k);
            if (strncmp(other, sample, length) != 0)
                break;
            if (stem_length(other) == length)
                return true;
        }
    return false;
}

/* Below OUT; malloc'ed.  untouched: as the photo is called. */
static char *name_of(const struct run *run, size_t i, bool untouched)
{
    const char *sample = sample_of(run, i);
    char *name;

    if (untouched)
        return strdup(sample);
    if (asprintf(&name, "%.*s.%s", is_shared(run, i) ? (int)strlen(sample) : (int)stem_length(sample), sample,
                 run->filtering->output.extension) < 0)
        return NULL;
    return name;
}

static enum infomask_status write_below(struct run *run, const char *name, const void *data, size_t size,
                                        struct infomask_error *err)
{
    char *path = file_join(run->filtering->output.path, name);
    enum infomask_status status = path == NULL ? error_set(err, INFOMASK_MEMORY, "out of memory") : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = file_make_parents(path, err);
    if (status == INFOMASK_OK)
        status = file_write(path, data, size, err);
    run->over = status == INFOMASK_IO && output_is_over(errno);
    free(path);
    return status;
}

/* ---- What is asked ----------------------------------------------------------------------------------------------- */

/* As it stands in a table; malloc'ed. */
static char *field_of(const char *text)
{
    char *field = strdup(text);

    for (char *at = field; at != NULL && *at != '\0'; at++)
        if (*at == '\t' || *at == '\n' || *at == '\r')
            *at = ' ';
    return field;
}

static void put_field(FILE *out, const char *text)
{
    char *field = field_of(text);

    if (field != NULL)
        (void)fputs(field, out);
    free(field);
}

static void put_asked(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, "&%s=", name);
    put_field(out, text);
}

/* So that a list goes on with the same question only; malloc'ed, NULL without memory. */
static char *asked_of(const struct work *work)
{
    const struct params *params = &work->cli->params;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    (void)fprintf(out, "model=%s", model_name(work->ask.model));
    for (int i = 0; i < params->target_count; i++)
        put_asked(out, "target", params->targets[i]);
    for (enum param_id id = 0; id < PARAM_COUNT; id++)
        if (params->value[id].given && id != PARAM_ID_MODEL && id != PARAM_ID_TARGET)
            put_asked(out, param_info(id)->name, params->value[id].text);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static void put_number(FILE *out, double value)
{
    (void)fputc('\t', out);
    if (isfinite(value))
        (void)fprintf(out, "%.6g", value);
}

static const char tsv_head[] = "sample\toutput\tverdict\tuntouched\tpmi_before\tpmi_after\tregion_pmi_after\t"
                               "context_pmi_after\trank_after\tarea\tpasses\tunits\treason\tasked\n";

static void put_tsv(const struct run *run, const char *sample, const char *output, const struct shot *shot,
                    const struct infomask_filtered *filtered, bool untouched, const char *reason)
{
    const struct infomask_verification *row = &filtered->rows[0];
    const char *verdict = infomask_verdict_name(filtered->verdict);
    double unit = view_units_factor(shot->head.units);

    put_field(run->lines, sample);
    (void)fputc('\t', run->lines);
    put_field(run->lines, output);
    (void)fprintf(run->lines, "\t%s\t%s", verdict != NULL ? verdict : "", untouched ? "true" : "false");
    put_number(run->lines, unit * row->pmi_before);
    put_number(run->lines, unit * row->after.pmi_after);
    put_number(run->lines, unit * row->after.region_pmi_after);
    put_number(run->lines, unit * row->after.context_pmi_after);
    put_number(run->lines, row->after.rank_after);
    put_number(run->lines, filtered->area);
    (void)fprintf(run->lines, "\t%d\t%s\t", filtered->passes, view_units_name(shot->head.units));
    put_field(run->lines, reason);
    (void)fputc('\t', run->lines);
    put_field(run->lines, run->asked);
    (void)fputc('\n', run->lines);
}

static void put_json(const struct run *run, const char *sample, const char *output, const struct shot *shot,
                     const struct infomask_filtered *filtered, bool untouched, const char *reason)
{
    const struct infomask_verification *row = &filtered->rows[0];
    const char *verdict = infomask_verdict_name(filtered->verdict);
    double unit = view_units_factor(shot->head.units);
    struct json_writer writer;
    struct infomask_error ignored;
    char *text = NULL;
    size_t size;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "sample", sample);
    json_put_string(&writer, "output", output);
    if (verdict != NULL)
        json_put_string(&writer, "verdict", verdict);
    else
        json_put_null(&writer, "verdict");
    json_put_bool(&writer, "untouched", untouched);
    json_put_double(&writer, "pmi_before", unit * row->pmi_before);
    json_put_double(&writer, "pmi_after", unit * row->after.pmi_after);
    json_put_double_or_null(&writer, "region_pmi_after", unit * row->after.region_pmi_after);
    json_put_double_or_null(&writer, "context_pmi_after", unit * row->after.context_pmi_after);
    json_put_int(&writer, "rank_after", row->after.rank_after);
    json_put_double(&writer, "area", filtered->area);
    json_put_int(&writer, "passes", filtered->passes);
    json_put_string(&writer, "units", view_units_name(shot->head.units));
    json_put_string(&writer, "reason", reason);
    json_put_string(&writer, "asked", run->asked);
    json_object_close(&writer);
    if (json_writer_take(&writer, &text, &size, &ignored) == INFOMASK_OK) {
        while (size > 0 && text[size - 1] == '\n')
            size--;
        (void)fwrite(text, 1, size, run->lines);
        (void)fputc('\n', run->lines);
    }
    free(text);
}

static enum infomask_status put_line(struct run *run, const char *sample, const char *output, const struct shot *shot,
                                     const struct infomask_filtered *filtered, bool untouched,
                                     struct infomask_error *err)
{
    char reason[VIEW_REASON];

    view_reason(&shot->head, &filtered->rows[0], &filtered->rows[0].after, reason, sizeof reason);
    if (run->filtering->tsv)
        put_tsv(run, sample, output, shot, filtered, untouched, reason);
    else
        put_json(run, sample, output, shot, filtered, untouched, reason);
    if (fflush(run->lines) == 0 && !ferror(run->lines))
        return INFOMASK_OK;
    run->over = true; /* the list would lack what is done, and nobody would know */
    return error_set(err, INFOMASK_IO, "%.200s: cannot be written: %s", run->list_path, strerror(errno));
}

/* A verdict by its name, or NO_VERDICT. */
static enum infomask_verdict verdict_of(const char *said)
{
    for (enum infomask_verdict v = INFOMASK_FAILED; v <= INFOMASK_REMOVED; v++)
        if (strcmp(infomask_verdict_name(v), said) == 0)
            return v;
    return INFOMASK_NO_VERDICT;
}

/* Whether an earlier run did the photo, which counts for --require as one of this run does; *changed: filtered it. */
static bool was_done(struct run *run, const char *sample, bool *changed)
{
    char *field = run->filtering->tsv ? field_of(sample) : NULL;
    const char *said = done_find(&run->done, field != NULL ? field : sample);
    enum infomask_verdict verdict = said != NULL ? verdict_of(said) : INFOMASK_NO_VERDICT;

    free(field);
    if (said == NULL)
        return false;
    run->done_before++;
    if (strcmp(said, DONE_UNTOUCHED) != 0 && verdict < run->filtering->require)
        run->short_of_it++;
    *changed = strcmp(said, DONE_UNTOUCHED) != 0 && strcmp(said, DONE_NO_ROOM) != 0;
    return true;
}

/* What is there of an earlier run; a last line that was cut is cut off. */
static enum infomask_status open_list(struct run *run, struct infomask_error *err)
{
    bool tsv = run->filtering->tsv, begun = false;
    enum infomask_status status;

    run->list_path = file_join(run->filtering->output.path, tsv ? "verdicts.tsv" : "verdicts.jsonl");
    run->asked = asked_of(run->work);
    if (run->list_path == NULL || run->asked == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = tsv ? done_read_table(&run->done, run->list_path, run->asked, &begun, err)
                 : done_read(&run->done, run->list_path, "sample", run->asked, err);
    if (status != INFOMASK_OK)
        return status;
    run->lines = fopen(run->list_path, "ae");
    if (run->lines == NULL)
        return error_set(err, INFOMASK_IO, "%.200s: cannot be written: %s", run->list_path, strerror(errno));
    if (tsv && !begun)
        (void)fputs(tsv_head, run->lines);
    return INFOMASK_OK;
}

/* ---- The contact sheet ------------------------------------------------------------------------------------------- */

static int sheet_width(void) { return PAIRS * (2 * CELL + 2 * GAP) + GAP; }
static int sheet_height(int pairs) { return (pairs + PAIRS - 1) / PAIRS * (CELL + GAP) + GAP; }

static void paste(const struct run *run, int left, int top, const uint8_t *pixels)
{
    size_t stride = (size_t)sheet_width() * 3;

    for (int y = 0; y < CELL; y++)
        memcpy(run->sheet + (size_t)(top + y) * stride + (size_t)left * 3, pixels + (size_t)y * CELL * 3, CELL * 3);
}

static bool has_room_for_pair(const struct run *run)
{
    return run->filtering->sheet != NULL && run->pairs < MOST_PAIRS;
}

/* Before and after, side by side. */
static enum infomask_status add_pair(struct run *run, struct infomask_photo *photo, const void *image,
                                     size_t image_size, struct infomask_error *err)
{
    struct infomask_limits limits = ask_limits(&run->work->cli->config);
    int left = run->pairs % PAIRS * (2 * CELL + 2 * GAP) + GAP, top = run->pairs / PAIRS * (CELL + GAP) + GAP;
    size_t bytes = (size_t)sheet_width() * (size_t)sheet_height(run->pairs + 1) * 3;
    uint8_t *pixels = malloc((size_t)CELL * CELL * 3), *sheet;
    struct infomask_photo *after = NULL;
    enum infomask_status status;

    sheet = pixels != NULL ? realloc(run->sheet, bytes) : NULL;
    if (sheet == NULL) {
        free(pixels);
        return error_set(err, INFOMASK_MEMORY, "no memory for the sheet");
    }
    run->sheet = sheet;
    if (run->pairs % PAIRS == 0) {
        size_t old = run->pairs > 0 ? (size_t)sheet_width() * (size_t)sheet_height(run->pairs) * 3 : 0;
        memset(sheet + old, 255, bytes - old);
    }
    status = infomask_photo_pixels(photo, CELL, CELL, false, pixels, err);
    if (status == INFOMASK_OK) {
        paste(run, left, top, pixels);
        status = infomask_photo_open(image, image_size, &limits, &after, err);
    }
    if (status == INFOMASK_OK)
        status = infomask_photo_pixels(after, CELL, CELL, false, pixels, err);
    if (status == INFOMASK_OK) {
        paste(run, left + CELL, top, pixels);
        run->pairs++;
    }
    infomask_photo_close(after);
    free(pixels);
    return status;
}

/* Of an earlier run: from the photo and what stands in OUT, if both can still be read. */
static void add_pair_of_before(struct run *run, size_t i)
{
    struct infomask_limits limits = ask_limits(&run->work->cli->config);
    size_t most = run->work->cli->config.max_body, size, image_size;
    char *name = name_of(run, i, false), *path = name != NULL ? file_join(run->filtering->output.path, name) : NULL;
    char *bytes = NULL, *image = NULL;
    struct infomask_photo *photo = NULL;
    struct infomask_error err;
    enum infomask_status status = INFOMASK_MEMORY;

    if (path != NULL)
        status = file_read(path, SIZE_MAX, &image, &image_size, &err);
    if (status == INFOMASK_OK)
        status = file_read(run->photos->entries[i].path, most, &bytes, &size, &err);
    if (status == INFOMASK_OK)
        status = infomask_photo_open(bytes, size, &limits, &photo, &err);
    if (status == INFOMASK_OK)
        (void)add_pair(run, photo, image, image_size, &err);
    infomask_photo_close(photo);
    free(bytes);
    free(image);
    free(path);
    free(name);
}

static enum infomask_status write_sheet(const struct run *run, struct infomask_error *err)
{
    struct infomask_encoded encoded = {0};
    enum infomask_status status;

    if (run->pairs == 0)
        return INFOMASK_OK;
    status = infomask_pixels_jpeg(run->sheet, sheet_width(), sheet_height(run->pairs), &encoded, err);
    if (status == INFOMASK_OK)
        status = file_write(run->filtering->sheet, encoded.data, encoded.size, err);
    infomask_encoded_fini(&encoded);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", run->filtering->sheet);
    return status;
}

/* ---- Photos ------------------------------------------------------------------------------------------------------ */

/* The target is there, but max_area leaves no room for a mask of it. */
static bool found_no_room(const struct infomask_filtered *filtered)
{
    for (int i = 0; i < filtered->row_count; i++)
        if (filtered->rows[i].after.reason == INFOMASK_NO_ROOM)
            return true;
    return false;
}

static enum infomask_status keep_result(struct run *run, size_t i, struct shot *shot,
                                        const struct infomask_filtered *filtered, struct infomask_error *err)
{
    const char *sample = sample_of(run, i);
    bool untouched = filtered->mask.empty, no_room = found_no_room(filtered);
    char *name = name_of(run, i, untouched);
    struct infomask_error ignored;
    enum infomask_status status = name == NULL ? error_set(err, INFOMASK_MEMORY, "out of memory") : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = untouched ? write_below(run, name, shot->bytes, shot->size, err)
                           : write_below(run, name, filtered->image.data, filtered->image.size, err);
    if (status == INFOMASK_OK)
        status = put_line(run, sample, name, shot, filtered, untouched, err);
    if (status == INFOMASK_OK) {
        *(no_room ? &run->no_room : untouched ? &run->untouched : &run->changed) += 1;
        if ((!untouched || no_room) && filtered->verdict < run->filtering->require)
            run->short_of_it++;
        if (!untouched && has_room_for_pair(run))
            (void)add_pair(run, shot->photo, filtered->image.data, filtered->image.size,
                           &ignored); /* a sheet is for looking: it may lack one */
    }
    free(name);
    return status;
}

static enum infomask_status filter_one(struct run *run, size_t i, struct infomask_error *err)
{
    struct work *work = run->work;
    struct infomask_filtered filtered = {0};
    struct shot shot;
    enum infomask_status status = shot_open(work, work->ask.session, run->photos->entries[i].path, true, &shot, err);

    if (status != INFOMASK_OK)
        return status;
    status = infomask_filter(work->ask.session, shot.photo, &shot.classification, &work->ask.options.filter, NULL,
                             &filtered, err);
    if (status == INFOMASK_OK)
        status = keep_result(run, i, &shot, &filtered, err);
    infomask_filtered_fini(&filtered);
    shot_close(&shot);
    return status;
}

static void filter_all(void *context)
{
    struct run *run = context;
    struct infomask_error err;

    progress_start(&run->progress, run->photos->count, run->filtering->output.quiet);
    for (size_t i = 0; i < run->photos->count && interrupt_signal() == 0 && !run->over; i++) {
        const char *sample = sample_of(run, i);
        enum infomask_status status = INFOMASK_OK;
        bool changed = false;
        if (!was_done(run, sample, &changed))
            status = filter_one(run, i, &err);
        else if (changed && has_room_for_pair(run))
            add_pair_of_before(run, i);
        if (status == INFOMASK_UNSUPPORTED_FORMAT)
            run->no_photo++;
        else if (status != INFOMASK_OK)
            run->failed++;
        if (status != INFOMASK_OK)
            progress_say(&run->progress, "%.200s: %s\n", sample, err.text);
        progress_add(&run->progress, 1, status != INFOMASK_OK);
    }
    progress_end(&run->progress);
}

static int tell(const struct run *run)
{
    if (!run->filtering->output.quiet)
        (void)fprintf(stderr,
                      "%zu filtered, %zu without the target copied as they are, %zu done before, %zu no photos, "
                      "%zu failed; the list: %s\n",
                      run->changed, run->untouched, run->done_before, run->no_photo, run->failed, run->list_path);
    if (!run->filtering->output.quiet && run->no_room > 0)
        (void)fprintf(stderr, "%zu copied as they are although the target is there: max_area leaves no room\n",
                      run->no_room);
    if (!run->filtering->output.quiet && (run->over || interrupt_signal() != 0))
        (void)fputs("the same command goes on with the rest\n", stderr);
    if (interrupt_signal() != 0)
        return interrupt_code();
    if (run->failed > 0)
        return CLI_FAILED;
    return run->short_of_it > 0 ? CLI_SHORT : CLI_DONE;
}

int filter_folder(struct work *work, struct filtering *filtering, const struct photos *photos)
{
    struct run run = {.work = work, .filtering = filtering, .photos = photos};
    struct infomask_error err;
    char *out = NULL;
    enum infomask_status status = INFOMASK_OK;
    int code = CLI_FAILED;

    interrupt_watch();
    if (asprintf(&out, "%s/", filtering->output.path) < 0)
        status = error_set(&err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = file_make_parents(out, &err);
    if (status == INFOMASK_OK)
        status = open_list(&run, &err);
    if (status == INFOMASK_OK) {
        pool_run(work->pool, filter_all, &run);
        code = tell(&run);
        if (filtering->sheet != NULL)
            status = write_sheet(&run, &err);
    }
    if (run.lines != NULL && fclose(run.lines) != 0 && status == INFOMASK_OK)
        status = error_set(&err, INFOMASK_IO, "the list cannot be written: %s", strerror(errno));
    if (status != INFOMASK_OK)
        code = cli_fails(work->cli->command, "%s", err.text);
    free(run.list_path);
    free(run.asked);
    done_fini(&run.done);
    free(run.sheet);
    free(out);
    return code;
}
