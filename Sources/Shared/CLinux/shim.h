// What the C library has beyond Swift's Glibc module: adjtimex(2), statfs(2).
#include <sys/timex.h>
#include <sys/vfs.h>
