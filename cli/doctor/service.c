/* Ports, user, certificate, keys, confinement: what the service asks of its surroundings. */
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/host/certificate.h"
#include "app/host/confine.h"
#include "app/host/keys.h"
#include "app/host/sockets.h"
#include "app/settings/files.h"
#include "cli/cli.h"

#define MOST_PEM (1 << 20)
#define DAY 86400
#define SOON_DAYS 21 /* a certificate that ends sooner should have been renewed by then */

/* ---- Ports ------------------------------------------------------------------------------------------------------- */

static const char *remedy_of_closed(const char *address, const struct infomask_error *err)
{
    if (strstr(err->text, "in use") != NULL)
        return "infomask serve --port, or the setting port";
    if (strstr(err->text, strerror(EACCES)) == NULL)
        return "set listen to an address of this machine";
    return strncmp(address, "unix:", 5) == 0
               ? "set listen to a path in a folder of the service's user"
               : "ports below 1024 need CAP_NET_BIND_SERVICE: set port to a higher one, or let systemd open it";
}

/* An address that cannot be listened on: by the service that runs, by another process, or not of this machine. */
static void tell_closed(struct doctor *doctor, const char *address, const struct infomask_error *err)
{
    const struct config *config = &doctor->cli->config;
    bool busy = strstr(err->text, "in use") != NULL,
         can_ask = strpbrk(address, ":/") == NULL && config->tls_certificate[0] == '\0';
    int status = busy && can_ask ? healthcheck_ask(address, config->port, 2) : 0;

    if (status == 200 || status == 503)
        doctor_say(doctor, DOCTOR_OK, "port", NULL, "%s port %d is the running service's", address, config->port);
    else if (busy && !can_ask)
        doctor_say(doctor, DOCTOR_WARN, "port", "fine if it is the service that will be started again", "%s",
                   err->text);
    else
        doctor_say(doctor, DOCTOR_FAIL, "port", remedy_of_closed(address, err), "%s", err->text);
}

static void look_at_address(struct doctor *doctor, const char *address, bool *outside)
{
    struct listener listeners[SOCKETS_MAX];
    struct infomask_error err;
    int count = 0;

    if (sockets_open(address, doctor->cli->config.port, listeners, &count, &err) != INFOMASK_OK) {
        tell_closed(doctor, address, &err);
        return;
    }
    for (int i = 0; i < count; i++) {
        *outside = *outside || !listeners[i].loopback;
        doctor_say(doctor, DOCTOR_OK, "port", NULL, "%s is free", listeners[i].address);
    }
    sockets_close(listeners, count);
}

void doctor_ports(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    char *addresses = strdup(config->listen), *rest = addresses, *address;
    bool outside = false;

    while (addresses != NULL && (address = strsep(&rest, ", ")) != NULL)
        if (address[0] != '\0')
            look_at_address(doctor, address, &outside);
    free(addresses);
    if (outside && config->keys[0] == '\0')
        doctor_say(doctor, DOCTOR_WARN, "keys", "infomask keys add NAME infer --keys FILE, and the setting keys",
                   "the service can be reached from outside, and anybody may ask it");
    if (outside && config->tls_certificate[0] == '\0')
        doctor_say(doctor, DOCTOR_WARN, "certificate",
                   "set tls_certificate and tls_key, or put a proxy with TLS before it",
                   "the service can be reached from outside, and speaks no TLS");
}

/* ---- User -------------------------------------------------------------------------------------------------------- */

void doctor_user(struct doctor *doctor)
{
    const char *user = doctor->cli->config.user;
    struct infomask_error err;

    if (user[0] == '\0')
        return;
    if (confine_user(user, NULL, &err) == INFOMASK_OK)
        doctor_say(doctor, DOCTOR_OK, "user", NULL, "what follows is looked at as %s", user);
    else
        doctor_say(doctor, DOCTOR_FAIL, "user", "name a user that there is, and start as root", "%s", err.text);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static char *read_pem(struct doctor *doctor, const char *setting, const char *path)
{
    struct infomask_error err;
    char *text = NULL;
    size_t size;

    if (path[0] == '\0')
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "set tls_certificate and tls_key, or neither", "%s is not set",
                   setting);
    else if (file_read(path, MOST_PEM, &text, &size, &err) != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "the service must be able to read it", "%s: %s %s", setting,
                   path, err.text);
    return text;
}

static void write_day(time_t time, char day[16])
{
    struct tm utc;

    if (gmtime_r(&time, &utc) == NULL || strftime(day, 16, "%Y-%m-%d", &utc) == 0)
        (void)snprintf(day, 16, "?");
}

static void tell_certificate(struct doctor *doctor, const struct certificate *found)
{
    time_t now = time(NULL);
    bool soon = found->ends - now < SOON_DAYS * DAY;
    char starts[16], ends[16];

    write_day(found->starts, starts);
    write_day(found->ends, ends);
    if (!found->pair)
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "set tls_key to the key that it was made with",
                   "tls_key is not the key of tls_certificate");
    if (found->ends <= now)
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "renew it", "it, or a certificate of its chain, ended on %s",
                   ends);
    else if (found->starts > now)
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "look at the clock of this machine", "it is not valid before %s",
                   starts);
    else
        doctor_say(doctor, soon ? DOCTOR_WARN : DOCTOR_OK, "certificate", soon ? "renew it, and send SIGHUP" : NULL,
                   "valid until %s, for %s", ends, found->names[0] != '\0' ? found->names : "no name at all");
    if (found->missing[0] != '\0')
        doctor_say(doctor, DOCTOR_FAIL, "certificate", "get one for the names of the setting hosts",
                   "it is not for %s, which clients call it by (hosts)", found->missing);
    else if (found->names[0] == '\0')
        doctor_say(doctor, DOCTOR_WARN, "certificate", "get one with a subject alternative name",
                   "clients refuse it: it names nobody");
}

void doctor_certificate(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    struct certificate found;
    struct infomask_error err;
    char *certificate, *key;

    if (config->tls_certificate[0] == '\0' && config->tls_key[0] == '\0')
        return;
    certificate = read_pem(doctor, "tls_certificate", config->tls_certificate);
    key = read_pem(doctor, "tls_key", config->tls_key);
    if (certificate != NULL && key != NULL) {
        if (certificate_look(certificate, key, config->hosts, &found, &err) == INFOMASK_OK)
            tell_certificate(doctor, &found);
        else
            doctor_say(doctor, DOCTOR_FAIL, "certificate", "give PEM files", "%s", err.text);
        doctor_look_at_secret(doctor, "certificate", config->tls_key);
    }
    if (key != NULL)
        explicit_bzero(key, strlen(key));
    free(certificate);
    free(key);
}

void doctor_keys(struct doctor *doctor)
{
    const char *path = doctor->cli->config.keys;
    struct keys *keys = NULL;
    struct infomask_error err;
    enum infomask_status status;

    if (path[0] == '\0')
        return;
    status = keys_create(&keys, &err);
    if (status == INFOMASK_OK)
        status = keys_read(keys, path, &err);
    if (status != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "keys",
                   access(path, R_OK) != 0 && errno == EACCES ? "the service must be able to read it"
                                                              : "infomask keys add NAME SCOPES makes a line of it",
                   "%s", err.text);
    else if (keys_count(keys) == 0)
        doctor_say(doctor, DOCTOR_FAIL, "keys", "infomask keys add NAME SCOPES makes one",
                   "%s has no key: nobody could ask", path);
    else
        doctor_say(doctor, DOCTOR_OK, "keys", NULL, "%zu read from %s%s", keys_count(keys), path,
                   keys_has_admin(keys) ? "" : "; none of them is an admin's");
    if (status == INFOMASK_OK)
        doctor_look_at_secret(doctor, "keys", path);
    keys_free(keys);
}

void doctor_confinement(struct doctor *doctor)
{
    struct confined available;
    char text[CONFINED_TEXT];

    if (!doctor->cli->config.confine) {
        doctor_say(doctor, DOCTOR_WARN, "confinement", "set confine = true",
                   "the service keeps rights that it does not need");
        return;
    }
    confine_available(&available);
    confined_text(&available, text);
    doctor_say(doctor, available.calls && available.landlock > 0 ? DOCTOR_OK : DOCTOR_WARN, "confinement",
               available.calls && available.landlock > 0 ? NULL : "a kernel of 5.13 or later has both", "%s", text);
}
