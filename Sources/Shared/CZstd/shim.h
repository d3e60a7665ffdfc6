// Zstandard, which compresses loaded segments; pkg-config `libzstd` gives the include path.
#include <zstd.h>
