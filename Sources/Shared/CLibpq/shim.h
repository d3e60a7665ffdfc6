// PostgreSQL's own client library; pkg-config `libpq` gives the include path.
#include <libpq-fe.h>
