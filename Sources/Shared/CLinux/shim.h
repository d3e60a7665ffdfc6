// Functions of the C library that Swift's Glibc module lacks: adjtimex(2), malloc_trim(3), memmem(3),
// pthread_setname_np(3), statfs(2), sync_file_range(2), major(3).
#include <malloc.h>
#include <pthread.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/types.h>
#include <sys/vfs.h>

// fcntl.h declares it only with GNU extensions, which may be too late to enable here.
extern int sync_file_range(int descriptor, __off64_t offset, __off64_t count, unsigned int flags);
static const unsigned int shelly_sync_file_range_write = 2;

// The same with string.h.
extern void *memmem(const void *text, size_t length, const void *wanted, size_t wanted_length);

// The same with pthread.h.
extern int pthread_setname_np(pthread_t thread, const char *name);
