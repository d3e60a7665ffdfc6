// The version and the commit, which Package.swift defines. Another commit compiles nothing but this.
#pragma once

const char *shelly_version(void);

// 12 hex digits, a `+` behind them when files differ from the commit; empty when it is not known.
const char *shelly_commit(void);
