#include "cli/batch/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/batch/done.h"
#include "cli/batch/interrupt.h"
#include "cli/batch/photos.h"
#include "cli/batch/targets.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "core/base/pool.h"

#define WAVE 8          /* photos at hand for each thread: a slow one holds up only what comes behind it */
#define SNIFFED 64      /* bytes that tell a photo from another file */
#define PROBLEM_SIZE (INFOMASK_ERROR_TEXT + 160)

struct slot {
    struct batch_item item;
    struct photo_entry entry;
    char *text, *said;
    size_t text_size, said_size;
    enum infomask_status status;
    struct infomask_error err;
    bool left_out, finished;
};

struct loop {
    struct work *work;
    struct photos *photos;
    const struct output *output;
    batch_step *step;
    void *context;
    struct done done;
    char **targets;               /* [photos->count]; NULL: standard output, or no pictures */
    struct slot *slots;           /* [wave] */
    size_t used, emitted;         /* of the wave */
    pthread_mutex_t lock;         /* of emitted and what follows, fatal too */
    struct progress progress;
    struct json_writer writer;    /* form JSON: all of it */
    FILE *stream;                 /* forms LINES and TEXT */
    size_t fine, failed, skipped, left_out;
    struct infomask_error fatal;  /* what is written cannot be: the run ends */
};

/* ---- One photo --------------------------------------------------------------------------------------------------- */

static bool is_named_photo(const char *path)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"};
    const char *dot = strrchr(file_name(path), '.');

    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* In a folder lie other files too: what is neither named as a photo nor begins like one, is empty, or a link that leads
 * nowhere, is left out. */
static bool is_other_file(const struct loop *loop, const char *path)
{
    struct infomask_limits limits = ask_limits(&loop->work->cli->config);
    struct infomask_photo *photo = NULL;
    struct infomask_error ignored;
    unsigned char bytes[SNIFFED];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool nowhere = fd < 0 && errno == ENOENT;
    ssize_t got = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
    enum infomask_status status = INFOMASK_OK;

    if (got >= 0)
        status = infomask_photo_open(bytes, (size_t)got, &limits, &photo, &ignored);
    infomask_photo_close(photo);
    if (fd >= 0)
        (void)close(fd);
    return nowhere || got == 0 || (got > 0 && status == INFOMASK_UNSUPPORTED_FORMAT);
}

static enum infomask_status open_item(struct loop *loop, struct slot *slot, struct infomask_error *err)
{
    struct batch_item *item = &slot->item;
    enum infomask_status status;
    /* a picture that goes down a pipe is not commented */
    bool tells = !loop->output->quiet && loop->output->form == OUTPUT_PICTURE &&
                 (loop->output->path != NULL || loop->output->show);

    item->output = loop->output;
    item->path = slot->entry.path;
    status = model_session_take(loop->work->ask.model, &item->session, err);
    if (item->output->form == OUTPUT_TEXT)
        item->text = open_memstream(&slot->text, &slot->text_size);
    if (tells)
        item->said = open_memstream(&slot->said, &slot->said_size);
    if (status == INFOMASK_OK &&
        ((item->output->form == OUTPUT_TEXT && item->text == NULL) || (tells && item->said == NULL)))
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    return status;
}

static enum infomask_status do_item(struct loop *loop, struct slot *slot, struct infomask_error *err)
{
    struct batch_item *item = &slot->item;
    enum infomask_status status = open_item(loop, slot, err);

    if (status == INFOMASK_OK && slot->entry.failure != 0)
        status = error_set(err, INFOMASK_IO, "cannot be read: %s", strerror(slot->entry.failure));
    if (status == INFOMASK_OK && item->target != NULL && item->output->folder)
        status = file_make_parents(item->target, err);
    if (status == INFOMASK_OK)
        status = loop->step(loop->work, item, loop->context, err);
    model_session_give(loop->work->ask.model, item->session);
    item->session = NULL;
    if (item->text != NULL)
        (void)fclose(item->text);
    if (item->said != NULL)
        (void)fclose(item->said);
    return status;
}

/* ---- Results, in their order ------------------------------------------------------------------------------------- */

static void fail_all(struct loop *loop, const struct infomask_error *err)
{
    if (loop->fatal.status == INFOMASK_OK)
        loop->fatal = *err;
}

static void write_out(struct loop *loop, const char *data, size_t size)
{
    if (loop->fatal.status != INFOMASK_OK)
        return;
    progress_hide(&loop->progress);
    if (fwrite(data, 1, size, loop->stream) != size || fflush(loop->stream) != 0)
        (void)error_set(&loop->fatal, INFOMASK_IO, "%.120s: cannot be written: %s",
                        loop->output->path != NULL ? loop->output->path : "standard output", strerror(errno));
}

/* The value into what is written at the end: as it is on one line, anew where it is indented. */
static void put_value(struct loop *loop, const char *text, size_t size)
{
    struct json *root = NULL;
    struct infomask_error ignored;

    if (loop->writer.indent > 0 && json_parse(text, size, NULL, &root, &ignored) == INFOMASK_OK)
        json_put_node(&loop->writer, NULL, root);
    else
        json_put_raw(&loop->writer, NULL, text, size);
    json_free(root);
}

static void emit_json(struct loop *loop, struct slot *slot)
{
    struct infomask_error err;
    char *text = NULL;
    size_t size = 0;

    if (json_writer_take(&slot->item.writer, &text, &size, &err) != INFOMASK_OK)
        fail_all(loop, &err);
    else if (loop->output->form == OUTPUT_LINES)
        write_out(loop, text, size);
    else
        put_value(loop, text, size - 1); /* without its line end */
    free(text);
}

/* A photo that failed: a sentence for the user, and a problem among the results. */
static void emit_failure(struct loop *loop, struct slot *slot)
{
    char detail[PROBLEM_SIZE];
    const struct infomask_error *err = &slot->err;
    enum view_problem problem = err->status == INFOMASK_IO ? VIEW_BAD_REQUEST : view_problem_of(err->status);
    bool json = loop->output->form == OUTPUT_LINES || loop->output->form == OUTPUT_JSON;

    (void)snprintf(detail, sizeof detail, "%.150s: %s", slot->entry.path, err->text);
    progress_say(&loop->progress, "infomask %s: %s\n", loop->work->cli->command, detail);
    json_writer_fini(&slot->item.writer);
    if (!json || !loop->output->many)
        return;
    view_problem_of_file(&slot->item.writer, NULL, problem, detail, slot->entry.path);
    emit_json(loop, slot);
}

static void emit_answer(struct loop *loop, struct slot *slot)
{
    if (slot->item.text != NULL)
        write_out(loop, slot->text, slot->text_size);
    else if (loop->output->form != OUTPUT_PICTURE)
        emit_json(loop, slot);
    if (slot->said_size > 0)
        progress_say(&loop->progress, "%s", slot->said);
}

static void emit(struct loop *loop, struct slot *slot)
{
    bool bad = !slot->left_out && slot->status != INFOMASK_OK;

    if (bad && slot->item.over)
        fail_all(loop, &slot->err);
    else if (bad)
        emit_failure(loop, slot);
    else if (!slot->left_out)
        emit_answer(loop, slot);
    /* an answer that was not written is not done */
    if (bad || loop->fatal.status == INFOMASK_OK || loop->output->form == OUTPUT_PICTURE)
        *(slot->left_out ? &loop->left_out : bad ? &loop->failed : &loop->fine) += 1;
    progress_add(&loop->progress, 1, bad);
}

static void clear_slot(struct slot *slot)
{
    json_writer_fini(&slot->item.writer);
    free(slot->text);
    free(slot->said);
    *slot = (struct slot){0};
}

static bool goes_on(struct loop *loop)
{
    bool on;

    (void)pthread_mutex_lock(&loop->lock);
    on = loop->fatal.status == INFOMASK_OK && interrupt_signal() == 0;
    (void)pthread_mutex_unlock(&loop->lock);
    return on;
}

static void do_slot(void *context, int index, int worker)
{
    struct loop *loop = context;
    struct slot *slot = &loop->slots[index];

    (void)worker;
    slot->left_out = slot->entry.found && (slot->entry.failure == 0 || slot->entry.failure == ENOENT) &&
                     !is_named_photo(slot->entry.path) && is_other_file(loop, slot->entry.path);
    if (!slot->left_out && goes_on(loop))
        slot->status = do_item(loop, slot, &slot->err);
    else if (!slot->left_out)
        return; /* it was not begun, and neither is what comes behind it emitted */
    (void)pthread_mutex_lock(&loop->lock);
    slot->finished = true;
    while (loop->emitted < loop->used && loop->slots[loop->emitted].finished)
        emit(loop, &loop->slots[loop->emitted++]);
    (void)pthread_mutex_unlock(&loop->lock);
}

/* ---- Waves ------------------------------------------------------------------------------------------------------- */

static bool is_done(const struct loop *loop, const struct photo_entry *entry, const char *target)
{
    if (!loop->output->resume)
        return false;
    return target != NULL ? access(target, F_OK) == 0 : done_find(&loop->done, entry->path) != NULL;
}

/* Photos for the next wave, waiting only for the first.  False: there are no more. */
static bool fill_wave(struct loop *loop, size_t most)
{
    struct photos *photos = loop->photos;
    struct photo_entry entry;
    struct infomask_error err = {0};
    bool end = false;

    photos_forget(photos);
    loop->used = loop->emitted = 0;
    while (loop->used < most && photos_take(photos, loop->used == 0, &entry, &end, &err)) {
        const char *target = loop->targets != NULL ? loop->targets[photos->taken - 1] : NULL;
        if (is_done(loop, &entry, target)) {
            loop->skipped++;
            progress_add(&loop->progress, 1, 0);
            continue;
        }
        loop->slots[loop->used++] = (struct slot){.entry = entry, .item = {.target = target}};
        json_writer_init(&loop->slots[loop->used - 1].item.writer, 0);
    }
    if (err.status != INFOMASK_OK)
        fail_all(loop, &err);
    return loop->used > 0 || !end;
}

static void do_lone(void *context)
{
    do_slot(context, 0, 0);
}

static void run_waves(struct loop *loop)
{
    size_t most = loop->output->show ? 1 : WAVE * (size_t)pool_threads(loop->work->pool);

    while (loop->fatal.status == INFOMASK_OK && interrupt_signal() == 0 && fill_wave(loop, most)) {
        if (loop->used == 1) /* outside pool_for the network's own loops use every core */
            pool_run(loop->work->pool, do_lone, loop);
        else if (loop->used > 1)
            pool_for(loop->work->pool, (int)loop->used, do_slot, loop);
        for (size_t i = 0; i < loop->used; i++)
            clear_slot(&loop->slots[i]);
    }
}

/* ---- The whole run ----------------------------------------------------------------------------------------------- */

static enum infomask_status open_stream(struct loop *loop, struct infomask_error *err)
{
    const struct output *output = loop->output;
    bool lines = output->form == OUTPUT_LINES;
    enum infomask_status status = INFOMASK_OK;

    loop->stream = stdout;
    if (output->path == NULL || (!lines && output->form != OUTPUT_TEXT))
        return INFOMASK_OK;
    if (lines && output->resume)
        status = done_read(&loop->done, output->path, "file", NULL, err);
    if (status == INFOMASK_OK) {
        loop->stream = fopen(output->path, lines ? "ae" : "we");
        if (loop->stream == NULL)
            status = error_set(err, INFOMASK_IO, "%.120s: cannot be written: %s", output->path, strerror(errno));
    }
    return status;
}

static enum infomask_status begin(struct loop *loop, struct infomask_error *err)
{
    size_t threads = (size_t)pool_threads(loop->work->pool);
    enum infomask_status status = open_stream(loop, err);

    loop->slots = calloc(WAVE * threads, sizeof *loop->slots);
    if (status == INFOMASK_OK && loop->slots == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK && loop->output->form == OUTPUT_PICTURE)
        status = targets_make(loop->photos, loop->output, &loop->targets, err);
    if (status != INFOMASK_OK)
        return status;
    json_writer_init(&loop->writer, json_indent(loop->output->pretty));
    if (loop->output->form == OUTPUT_JSON && loop->output->many) {
        json_object_open(&loop->writer, NULL);
        json_array_open(&loop->writer, "results");
    }
    return INFOMASK_OK;
}

static enum infomask_status finish(struct loop *loop, struct infomask_error *err)
{

    if (loop->fatal.status != INFOMASK_OK) {
        *err = loop->fatal;
        return err->status;
    }
    if (loop->stream != stdout && fclose(loop->stream) != 0) {
        loop->stream = stdout;
        return error_set(err, INFOMASK_IO, "%.120s: cannot be written: %s", loop->output->path, strerror(errno));
    }
    loop->stream = stdout;
    if (loop->output->form != OUTPUT_JSON || (!loop->output->many && loop->fine == 0))
        return INFOMASK_OK;
    if (loop->output->many) {
        json_array_close(&loop->writer);
        json_object_close(&loop->writer);
    }
    return write_json(&loop->writer, loop->output->path, err);
}

static void tell(const struct loop *loop)
{
    bool resumable = loop->output->path != NULL && (loop->output->folder || loop->output->form == OUTPUT_LINES);

    if (loop->output->quiet || !loop->output->many)
        return;
    if (interrupt_signal() != 0)
        (void)fprintf(stderr, "infomask %s: ended by a signal; %zu photos are done%s\n", loop->work->cli->command,
                      loop->fine, resumable ? ", --resume goes on with the rest" : "");
    else if (loop->fatal.status != INFOMASK_OK && resumable)
        (void)fprintf(stderr, "infomask %s: %zu photos are done, --resume goes on with the rest\n",
                      loop->work->cli->command, loop->fine + loop->skipped);
    else if (loop->skipped + loop->left_out > 0)
        (void)fprintf(stderr, "infomask %s: %zu photos done, %zu failed, %zu done before, %zu %s\n",
                      loop->work->cli->command, loop->fine, loop->failed, loop->skipped, loop->left_out,
                      loop->left_out == 1 ? "file left out that is not a photo" : "files left out that are not photos");
}

static void close_loop(struct loop *loop)
{
    if (loop->stream != NULL && loop->stream != stdout)
        (void)fclose(loop->stream);
    free(loop->slots);
    targets_free(loop->targets, loop->photos->count);
    done_fini(&loop->done);
    json_writer_fini(&loop->writer);
    (void)pthread_mutex_destroy(&loop->lock);
}

int batch_run(struct work *work, struct photos *photos, const struct output *output, batch_step *step, void *context)
{
    struct loop loop = {.work = work, .photos = photos, .output = output, .step = step, .context = context};
    struct infomask_error err = {0};
    enum infomask_status status;

    (void)pthread_mutex_init(&loop.lock, NULL);
    status = begin(&loop, &err);
    if (status == INFOMASK_OK) {
        if (output->many)
            interrupt_watch();
        progress_start(&loop.progress, photos->more == NULL ? photos->count : 0,
                       output->quiet || !output->many || output->show);
        run_waves(&loop);
        if (loop.stream == stdout &&
            isatty(STDOUT_FILENO)) { /* the answers are there, the bar would only follow them */
            progress_hide(&loop.progress);
            loop.progress.shown = false;
        }
        progress_end(&loop.progress);
        status = finish(&loop, &err);
        tell(&loop);
    }
    close_loop(&loop);
    if (status != INFOMASK_OK)
        return err.status == INFOMASK_ARGUMENT ? cli_misused(work->cli->command, "%s", err.text)
                                               : cli_fails(work->cli->command, "%s", err.text);
    if (interrupt_signal() != 0)
        return interrupt_code();
    return loop.failed > 0 ? CLI_FAILED : CLI_DONE;
}

/* ---- What there is to do ----------------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISDIR(at.st_mode);
}

/* The one file that all goes into must be no photo of them. */
static int check_inputs(const struct photos *photos, const struct cli *cli, const struct output *output)
{
    struct stat out, in;

    if (output->path == NULL || output->folder || stat(output->path, &out) != 0)
        return -1;
    for (size_t i = 0; i < photos->count; i++)
        if (stat(photos->entries[i].path, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return cli_misused(cli->command, "%s would be written over: choose another name with -o",
                               photos->entries[i].path);
    return -1;
}

int batch_list(struct photos *photos, const struct cli *cli, struct output *output, const struct output_spec *spec)
{
    struct infomask_error err;
    enum infomask_status status;
    int inputs = output->list != NULL && strcmp(output->list, "-") == 0, code;

    output->many = cli->operand_count != 1 || output->list != NULL || is_folder(cli->operands[0]);
    for (int i = 0; i < cli->operand_count; i++) {
        inputs += strcmp(cli->operands[i], "-") == 0;
        if (cli->operands[i][0] == '\0') /* a variable of a script that holds nothing */
            return cli_misused(cli->command, "the name of a photo is empty");
    }
    if (cli->operand_count == 0 && output->list == NULL)
        return cli_misused(cli->command, "which photo?");
    if (inputs > 1)
        return cli_misused(cli->command, "standard input can be read once");
    code = output_open(output, cli, spec);
    if (code >= 0)
        return code;
    status = photos_open(photos, cli->operands, cli->operand_count, output->list, output->form == OUTPUT_PICTURE, &err);
    if (status != INFOMASK_OK)
        return cli_fails(cli->command, "%s", err.text);
    if (photos->count == 0 && photos->more == NULL)
        return cli_fails(cli->command, "there are no photos in %s",
                         cli->operand_count > 0 ? cli->operands[0] : output->list);
    return check_inputs(photos, cli, output);
}
