/*
 * What tests of hosts with an event loop need: a look at a descriptor, and work done when it says
 * so.
 */

#ifndef CERTRELOAD_TEST_HOST_H
#define CERTRELOAD_TEST_HOST_H

#include <certreload.h>

/* Whether it is readable now. */
bool is_readable(int descriptor);

/* Whether it becomes readable within so long. */
bool is_readable_within(int descriptor, int milliseconds);

/* Waits until it is readable; for PATIENCE_SECONDS at the most. */
void wait_readable(int descriptor);

/* Threads of this process, by the kernel's count. */
size_t thread_count(void);

/* Descriptors of this process that are inotify instances, or copies of one. */
size_t inotify_descriptor_count(void);

/* Options of the HOST runtime with one identity, and a poll that does not come. */
certreload_options *host_options(const char *chain, const char *key);

/* Opens, and frees the options. */
certreload_handle *open_and_free(certreload_options *options);

/* Dispatches as long as the descriptor is readable; tells how often. Fails where that has no end.
 */
int dispatch_all(certreload_handle *handle);

/* Waits for the descriptor and dispatches, until the generation serves. */
void dispatch_until_generation(certreload_handle *handle, uint64_t generation);

/* Takes the next event, which has to be there. */
const certreload_event *take_event(certreload_handle *handle);

/* Pushes what is in two files. */
certreload_result push_files(certreload_handle *handle, size_t index, const char *chain,
                             const char *key);

/* Makes a pair that expires so many seconds from now. */
void make_pair_for_seconds(const char *chain, const char *key, const char *name, int seconds);

#endif
