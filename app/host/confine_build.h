/* Whether this is a build with a sanitizer, whose reports read /proc and whose leak check traces its own threads. */
#ifndef APP_HOST_CONFINE_BUILD_H
#define APP_HOST_CONFINE_BUILD_H

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CONFINE_SANITIZED 1
#else
#define CONFINE_SANITIZED 0
#endif

#endif
