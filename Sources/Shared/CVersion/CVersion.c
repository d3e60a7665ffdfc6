#include "CVersion.h"

const char *shelly_version(void) { return SHELLY_VERSION; }

const char *shelly_commit(void) { return SHELLY_COMMIT; }
