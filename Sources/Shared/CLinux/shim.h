// What the C library has beyond Swift's Glibc module: adjtimex(2), malloc_trim(3), statfs(2), sync_file_range(2).
#include <malloc.h>
#include <sys/timex.h>
#include <sys/types.h>
#include <sys/vfs.h>

// fcntl.h declares it for those who ask for GNU extensions, for which it may be too late here.
extern int sync_file_range(int descriptor, __off64_t offset, __off64_t count, unsigned int flags);
static const unsigned int shelly_sync_file_range_write = 2;
