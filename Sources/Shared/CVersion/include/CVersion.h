// The version and the commit, which Package.swift defines. A new commit recompiles only this target.
#pragma once

const char *shelly_version(void);

// 12 hex digits, followed by `+` if files differ from the commit; empty if it is unknown.
const char *shelly_commit(void);
