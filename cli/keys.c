/* infomask keys: makes API keys.  A key is shown once; the file keeps its hash (app/host/keys.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "core/base/sha256.h"

#define KEY_BYTES 32
#define NAME_MOST 63
#define FILE_MOST (1024 * 1024)

static bool good_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= NAME_MOST &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@") == size;
}

static bool good_scopes(const char *scopes)
{
    static const char *const known[] = {"infer", "estimates", "admin"};

    for (;;) {
        size_t size = strcspn(scopes, ","), i = 0;
        while (i < 3 && (strlen(known[i]) != size || memcmp(scopes, known[i], size) != 0))
            i++;
        if (i == 3)
            return false;
        if (scopes[size] == '\0')
            return true;
        scopes += size + 1;
    }
}

/* Whether a line of the file is that of `name`. */
static bool has_name(const char *text, const char *name)
{
    size_t size = strlen(name);

    while (*text != '\0') {
        const char *line = text + strspn(text, " \t");
        if (strncmp(line, name, size) == 0 && (line[size] == ' ' || line[size] == '\t'))
            return true;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return false;
}

static bool make_key(char text[2 * KEY_BYTES + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[KEY_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        text[2 * i] = hex[bytes[i] >> 4];
        text[2 * i + 1] = hex[bytes[i] & 15];
    }
    text[2 * KEY_BYTES] = '\0';
    return true;
}

/* A line behind what is there, in one write: two that add at once lose nothing.  The file is for its owner only. */
static bool append(const char *path, const char *old, const char *name, const char *scopes, const char *hash)
{
    size_t size = strlen(old);
    bool open_line = size > 0 && old[size - 1] != '\n';
    char line[256];
    int length = snprintf(line, sizeof line, "%s%s %s %s\n", open_line ? "\n" : "", name, scopes, hash);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool done = fd >= 0 && write(fd, line, (size_t)length) == length && fsync(fd) == 0;

    if (fd >= 0 && close(fd) != 0)
        done = false;
    return done;
}

static int add(const struct cli *cli, const char *name, const char *scopes)
{
    const char *path = cli->config.keys;
    char key[2 * KEY_BYTES + 1], hash[SHA256_HEX], *old = NULL;
    struct infomask_error err;
    size_t size;
    int code = CLI_DONE;

    if (access(path, F_OK) == 0 && file_read(path, FILE_MOST, &old, &size, &err) != INFOMASK_OK)
        return cli_fails(cli->command, "%s %s", path, err.text);
    if (old != NULL && has_name(old, name))
        code = cli_fails(cli->command, "%s has a key named %s already", path, name);
    else if (!make_key(key))
        code = cli_fails(cli->command, "the system gives no random bytes: %s", strerror(errno));
    if (code == CLI_DONE) {
        sha256_bytes(key, strlen(key), hash);
        if (!append(path, old == NULL ? "" : old, name, scopes, hash))
            code = cli_fails(cli->command, "%s cannot be written: %s", path, strerror(errno));
    }
    free(old);
    if (code != CLI_DONE)
        return code;
    (void)printf("%s\n", key);
    (void)fprintf(stderr, "infomask keys: this key of %s (%s) is shown once; %s holds its hash.\n"
                          "A running service reads the file again on SIGHUP.\n", name, scopes, path);
    return fflush(stdout) == 0 ? CLI_DONE : cli_fails(cli->command, "the key cannot be written to standard output");
}

static int run(const struct cli *cli)
{
    if (cli->operand_count != 3 || strcmp(cli->operands[0], "add") != 0)
        return cli_misused(cli->command, "it is: keys add NAME SCOPES");
    if (!good_name(cli->operands[1]))
        return cli_misused(cli->command, "a name has 1 to %d of A-Z a-z 0-9 . _ - @, not \"%.80s\"", NAME_MOST,
                           cli->operands[1]);
    if (strlen(cli->operands[2]) > 64 || !good_scopes(cli->operands[2]))
        return cli_misused(cli->command,
                           "scopes are infer, estimates and admin, with commas between them, not \"%.80s\"",
                           cli->operands[2]);
    if (*cli->config.keys == '\0')
        return cli_misused(cli->command, "which file? --keys FILE, or the setting keys");
    return add(cli, cli->operands[1], cli->operands[2]);
}

int cmd_keys(int argc, char **argv)
{
    const struct cli_spec spec = {
        .usage = "keys add NAME SCOPES [--keys FILE]",
        .about =
            "Makes an API key: prints it once, and appends its hash to the file of keys, which is made if it is not\n"
            "there.  SCOPES are infer, estimates and admin, with commas between them; admin includes the others.",
        .sections = " security ",
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = run(&cli);
    cli_close(&cli);
    return code;
}
