/* The proxies in front of the service that are believed when they say who asks (the setting `proxies`).
 *
 * Each proxy on the way adds the address that it was asked from at the end of X-Forwarded-For, behind whatever the
 * client wrote there itself: read from the end, the first address that is no proxy of ours is the client's.  Immutable
 * once it is read; thread rule: any thread.
 */
#ifndef APP_HOST_PROXIES_H
#define APP_HOST_PROXIES_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/base/status.h"

struct proxies;

/* list: with commas or spaces between them; each ADDRESS, ADDRESS/BITS or the word unix, for whoever comes by a local
 * socket.  An empty one gives NULL, which stands for none.  ARGUMENT names what is neither; MEMORY. */
enum infomask_status proxies_read(struct proxies **proxies, const char *list, struct infomask_error *err)
    __attribute__((warn_unused_result));
void proxies_free(struct proxies *proxies);

bool proxies_has(const struct proxies *proxies, const struct sockaddr *address);

/* fields [count]: the values of X-Forwarded-For in the order of the request.  False: they name nobody. */
bool proxies_client(const struct proxies *proxies, const char *const *fields, int count,
                    struct sockaddr_storage *client);

#endif
