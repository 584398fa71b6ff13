#include "core/base/build.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static size_t aligned4(size_t n) { return (n + 3) & ~(size_t)3; }

/* Notes are a head, a name and a description, each on a multiple of four bytes. */
static bool find_in_notes(const unsigned char *at, size_t size, char *hex)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        size_t name, whole;
        memcpy(&head, at, sizeof head);
        name = aligned4(head.n_namesz);
        whole = sizeof head + name + aligned4(head.n_descsz);
        if (whole > size)
            return false;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(at + sizeof head, "GNU", 4) == 0) {
            for (size_t i = 0; i < head.n_descsz && 2 * i + 2 < BUILD_ID; i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", at[sizeof head + name + i]);
            return true;
        }
        at += whole;
        size -= whole;
    }
    return false;
}

/* The program itself comes first. */
static int look(struct dl_phdr_info *info, size_t size, void *hex)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE &&
            find_in_notes((const unsigned char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                          info->dlpi_phdr[i].p_memsz, hex))
            return 1;
    return 1;
}

void build_id(char hex[BUILD_ID])
{
    hex[0] = '\0';
    (void)dl_iterate_phdr(look, hex);
}
