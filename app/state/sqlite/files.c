/* The files behind the names: are those that are open still those that have them, and as they were left? */
#include <string.h>
#include <sys/stat.h>

#include "app/state/sqlite/sqlite.h"

#define LOG_FORMAT 3007000 /* of SQLite's log and its index (sqlite.org/walformat.html) */

struct file_name sqlite_file_of(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return (struct file_name){0};
    return (struct file_name){(unsigned long long)info.st_dev, (unsigned long long)info.st_ino};
}

static bool same_file(struct file_name a, struct file_name b)
{
    return a.device == b.device && a.inode == b.inode && a.inode != 0;
}

enum infomask_status sqlite_check_files(struct sqlite *connection, struct infomask_error *err)
{
    struct file_name log = sqlite_file_of(connection->log_path);

    if (connection->log.inode == 0)
        connection->log = log;
    if (same_file(sqlite_file_of(store_where(connection->base.store)), connection->file) &&
        same_file(log, connection->log))
        return INFOMASK_OK;
    return error_set(
        err, INFOMASK_IO,
        "the state's file was removed or replaced while it was open; put it back, or start the service again");
}

/* What SQLite knows of its log, which all connections share: as sqlite.org/walformat.html lays it out. */
struct log_index {
    uint32_t format, unused, change;
    uint8_t begun, order;
    uint16_t page; /* 1: 65536 */
    uint32_t frames, pages, sums[2];
    uint8_t salt[8];
};

static bool reads(sqlite3_file *file, void *to, int size, int64_t from)
{
    return file->pMethods->xRead(file, to, size, from) == SQLITE_OK;
}

/* The frames that the index counts must be in the log, behind the head that they were written under. */
static bool log_is_whole(sqlite3_file *log, const struct log_index *index, int64_t page)
{
    sqlite3_int64 size = 0;
    uint8_t head[32];

    return index->frames == 0 ||
           (log->pMethods != NULL && log->pMethods->xFileSize(log, &size) == SQLITE_OK &&
            size >= (int64_t)sizeof head + index->frames * (24 + page) && reads(log, head, sizeof head, 0) &&
            memcmp(head + 16, index->salt, sizeof index->salt) == 0);
}

/* All pages must be there, unless some are in the log only; the first always. */
static bool file_is_whole(sqlite3_file *file, const struct log_index *index, uint32_t copied, int64_t page)
{
    sqlite3_int64 size = 0;
    char head[16];

    return file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
           size >= (copied < index->frames ? 1 : index->pages) * page && reads(file, head, sizeof head, 0) &&
           memcmp(head, "SQLite format 3", sizeof head) == 0;
}

enum infomask_status sqlite_check_contents(struct sqlite *connection, struct infomask_error *err)
{
    sqlite3_file *file = NULL, *log = NULL;
    void volatile *shared = NULL;
    struct log_index index;
    uint32_t copied;
    int64_t page;

    if (sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
        file->pMethods == NULL || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, 32768, 0, &shared) != SQLITE_OK || shared == NULL)
        return INFOMASK_OK; /* no log, or a way of keeping it that we do not know */
    memcpy(&index, (const void *)shared, sizeof index);
    memcpy(&copied, (const char *)shared + 96, sizeof copied); /* frames that are in the file, too */
    page = index.page == 1 ? 65536 : index.page;
    if (index.format != LOG_FORMAT || (file_is_whole(file, &index, copied, page) && log_is_whole(log, &index, page)))
        return INFOMASK_OK;
    return error_set(
        err, INFOMASK_IO,
        "the state's file was cut short or overwritten while it was open; put it back, or start the service again");
}
