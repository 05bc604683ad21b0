/* Whether the address sanitizer is built in: what takes long then, and shows it nothing new, is not run. */
#ifndef HC_TESTS_SANITIZED_H
#define HC_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#endif
