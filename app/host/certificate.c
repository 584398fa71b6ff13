#include "app/host/certificate.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/x509.h>

#define MOST_CHAIN 16
#define KEY_ID 64

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

/* One of its names into the list; false: there are no more. */
static bool take_name(gnutls_x509_crt_t own, unsigned index, char *names, size_t size)
{
    char name[256];
    size_t length = sizeof name - 1, used = strlen(names);
    int type = gnutls_x509_crt_get_subject_alt_name(own, index, name, &length, NULL);

    if (type == GNUTLS_SAN_DNSNAME) {
        name[length] = '\0';
    } else if (type == GNUTLS_SAN_IPADDRESS && (length == 4 || length == 16)) {
        char address[INET6_ADDRSTRLEN];
        (void)inet_ntop(length == 4 ? AF_INET : AF_INET6, name, address, sizeof address);
        (void)snprintf(name, sizeof name, "%s", address);
    } else {
        return type != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && type >= 0; /* another kind of name, or the end */
    }
    (void)snprintf(names + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    return true;
}

static void find_missing(gnutls_x509_crt_t own, const char *hosts, char *missing, size_t size)
{
    while (missing[0] == '\0' && hosts[0] != '\0') {
        size_t length = strcspn(hosts, ", ");
        char host[256];
        if (length > 0 && length < sizeof host) {
            (void)snprintf(host, sizeof host, "%.*s", (int)length, hosts);
            host[strcspn(host, ":")] = '\0'; /* a port is of no matter here */
            if (strcmp(host, "*") != 0 && gnutls_x509_crt_check_hostname(own, host) == 0)
                (void)snprintf(missing, size, "%s", host);
        }
        hosts += length + (hosts[length] != '\0');
    }
}

static bool is_pair(gnutls_x509_crt_t own, gnutls_x509_privkey_t key)
{
    unsigned char of_certificate[KEY_ID], of_key[KEY_ID];
    size_t a = sizeof of_certificate, b = sizeof of_key;

    return gnutls_x509_crt_get_key_id(own, GNUTLS_KEYID_USE_SHA256, of_certificate, &a) == 0 &&
           gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &b) == 0 && a == b &&
           memcmp(of_certificate, of_key, a) == 0;
}

static void look_at_chain(gnutls_x509_crt_t *chain, unsigned count, const char *hosts, struct certificate *found)
{
    unsigned index = 0;

    for (unsigned i = 0; i < count; i++) {
        time_t starts = gnutls_x509_crt_get_activation_time(chain[i]),
               ends = gnutls_x509_crt_get_expiration_time(chain[i]);
        found->starts = i == 0 || starts > found->starts ? starts : found->starts;
        found->ends = i == 0 || ends < found->ends ? ends : found->ends;
    }
    while (take_name(chain[0], index, found->names, sizeof found->names))
        index++;
    find_missing(chain[0], hosts, found->missing, sizeof found->missing);
}

static enum infomask_status look_at_key(gnutls_x509_crt_t own, const char *text, struct certificate *found,
                                        struct infomask_error *err)
{
    gnutls_datum_t pem = datum(text);
    gnutls_x509_privkey_t key;
    int code = gnutls_x509_privkey_init(&key);

    if (code != 0)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    code = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
    if (code == 0)
        found->pair = is_pair(own, key);
    gnutls_x509_privkey_deinit(key);
    return code == 0 ? INFOMASK_OK
                     : error_set(err, INFOMASK_BAD_DATA, "the key is not a PEM file without a passphrase: %s",
                                 gnutls_strerror(code));
}

enum infomask_status certificate_look(const char *certificate, const char *key, const char *hosts,
                                      struct certificate *found, struct infomask_error *err)
{
    gnutls_datum_t pem = datum(certificate);
    gnutls_x509_crt_t chain[MOST_CHAIN];
    unsigned count = MOST_CHAIN;
    int code = gnutls_x509_crt_list_import(chain, &count, &pem, GNUTLS_X509_FMT_PEM,
                                           GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    enum infomask_status status;

    *found = (struct certificate){0};
    if (code <= 0)
        return error_set(err, INFOMASK_BAD_DATA, "the certificate is not a PEM file with a chain of at most %d: %s",
                         MOST_CHAIN, gnutls_strerror(code));
    count = (unsigned)code;
    look_at_chain(chain, count, hosts, found);
    status = look_at_key(chain[0], key, found, err);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    return status;
}
