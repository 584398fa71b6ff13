/* Files that are meant to be a table and are none: what they are, and how one becomes of them. */
#include <string.h>

#include "app/json/json_utf8.h"
#include "cli/read/table_parts.h"

static enum infomask_status refuse_known(const char *text, size_t size, struct infomask_error *err)
{
    static const struct {
        const char *magic, *what;
    } formats[] = {
        {"ARROW1",
         "an Arrow file; with PyPI's pandas and pyarrow: pd.read_feather(FILE).to_csv(\"table.csv\", index=False)"},
        {"PK\3\4", "a spreadsheet or a zip archive; save it as CSV, or with PyPI's pandas: pd.read_excel(FILE).to_csv("
                   "\"table.csv\", index=False)"},
        {"\xd0\xcf\x11\xe0", "an old spreadsheet; save it as CSV, or with PyPI's pandas and xlrd: "
                             "pd.read_excel(FILE).to_csv(\"table.csv\", index=False)"},
        {"\x1f\x8b", "compressed: gunzip it first"},
        {"BZh", "compressed: bunzip2 it first"},
        {"\xfd\x37zXZ", "compressed: unxz it first"},
        {"\x28\xb5\x2f\xfd", "compressed: unzstd it first"},
        {"SQLite format 3", "a database; sqlite3 -header -csv FILE 'SELECT * FROM ...' > table.csv"},
        {"\x89HDF", "an HDF5 file; with PyPI's pandas: pd.read_hdf(FILE).to_csv(\"table.csv\", index=False)"},
        {"\x93NUMPY", "an array of NumPy: its name must end in .npy"},
        {"\x80\x04\x95", "a pickle; with PyPI's pandas: pd.read_pickle(FILE).to_csv(\"table.csv\", index=False)"},
        {"\x80\x05\x95", "a pickle; with PyPI's pandas: pd.read_pickle(FILE).to_csv(\"table.csv\", index=False)"},
        {"<!DOCTYPE", "a web page; what it was to show is elsewhere"},
        {"<html", "a web page; what it was to show is elsewhere"},
        {"{\"", "JSON; with PyPI's pandas: pd.read_json(FILE).to_csv(\"table.csv\", index=False), with lines=True for "
                "lines of objects"},
        {"[{", "JSON; with PyPI's pandas: pd.read_json(FILE).to_csv(\"table.csv\", index=False)"},
    };

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (size >= strlen(formats[i].magic) && memcmp(text, formats[i].magic, strlen(formats[i].magic)) == 0)
            return error_set(err, INFOMASK_BAD_DATA, "%s", formats[i].what);
    return INFOMASK_OK;
}

/* With its mark, or as ASCII looks in it: every other byte is 0. */
static bool is_utf16(const char *text, size_t size)
{
    if (size < 4)
        return false;
    return memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 ||
           (text[0] == '\0' && text[1] != '\0' && text[2] == '\0' && text[3] != '\0') ||
           (text[0] != '\0' && text[1] == '\0' && text[2] != '\0' && text[3] == '\0');
}

static enum infomask_status refuse_encoding(const char *text, size_t size, struct infomask_error *err)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t line = 1, length;

    if (size >= 4 && (memcmp(text, "\xff\xfe\0\0", 4) == 0 || memcmp(text, "\0\0\xfe\xff", 4) == 0))
        return error_set(err, INFOMASK_BAD_DATA,
                         "not text in UTF-8, but in UTF-32: iconv -f UTF-32 -t UTF-8 FILE > table.csv");
    if (is_utf16(text, size))
        return error_set(err, INFOMASK_BAD_DATA,
                         "not text in UTF-8, but in UTF-16: iconv -f UTF-16 -t UTF-8 FILE > table.csv");
    if (memchr(text, '\0', size) != NULL)
        return error_set(err, INFOMASK_BAD_DATA, "not text: a table is CSV (in UTF-8), or its name ends in .npy");
    for (size_t i = 0; i < size; i += length) {
        length = bytes[i] < 0x80 ? 1 : json_utf8_length(bytes + i, size - i);
        line += bytes[i] == '\n';
        if (length == 0)
            return error_set(err, INFOMASK_BAD_DATA,
                             "line %zu: the byte 0x%02X is not UTF-8, in which a table is; if the file is as Windows "
                             "writes it: iconv -f CP1252 -t UTF-8 FILE > table.csv",
                             line, bytes[i]);
    }
    return INFOMASK_OK;
}

enum infomask_status table_refuse_format(const char *path, const char *text, size_t size, struct infomask_error *err)
{
    size_t length = strlen(path);
    enum infomask_status status;

    if (size >= 4 && memcmp(text, "PAR1", 4) == 0)
        return error_set(
            err, INFOMASK_BAD_DATA,
            "a Parquet file; PyPI's pyarrow converts it: python3 -c 'import "
            "pyarrow.parquet as p, pyarrow.csv as c; c.write_csv(p.read_table(\"%.120s\"), \"table.csv\")'",
            path);
    if (length >= 4 && strcmp(path + length - 4, ".npz") == 0)
        return error_set(err, INFOMASK_BAD_DATA,
                         "an archive of arrays; np.save(\"x.npy\", np.load(FILE)[NAME]) makes a file of one of them");
    status = refuse_known(text, size, err);
    return status == INFOMASK_OK ? refuse_encoding(text, size, err) : status;
}
