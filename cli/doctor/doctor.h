/* What `infomask doctor` looks at: each check says one line or several, ok, warn or fail, and what helps. */
#ifndef CLI_DOCTOR_DOCTOR_H
#define CLI_DOCTOR_DOCTOR_H

#include <stddef.h>

#include "cli/arguments.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_line {
    enum doctor_state state;
    const char *check;         /* a word, the same in every version: scripts look for it */
    char text[400];
    const char *remedy;        /* NULL: nothing is to be done */
};

struct doctor {
    const struct cli *cli;
    struct doctor_line *lines; /* [count]; owned */
    size_t count;
};

/* One more line; remedy is not copied. */
void doctor_say(struct doctor *doctor, enum doctor_state state, const char *check, const char *remedy,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

void doctor_ports(struct doctor *doctor);       /* port: can each address be listened on? */
void doctor_user(struct doctor *doctor);        /* user: becomes the one that the service will be */
void doctor_certificate(struct doctor *doctor); /* certificate */
void doctor_keys(struct doctor *doctor);        /* keys */
void doctor_confinement(struct doctor *doctor); /* confinement */
void doctor_state_of_service(struct doctor *doctor); /* state, disk */
void doctor_limits(struct doctor *doctor);      /* files, memory */
void doctor_models(struct doctor *doctor);      /* kernels, model */

/* A secret that others of the machine can read is one of theirs too. */
void doctor_look_at_secret(struct doctor *doctor, const char *check, const char *path);

#endif
