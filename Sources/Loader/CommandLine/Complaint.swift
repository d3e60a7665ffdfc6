// CommandLine: arguments, output, errors and their fixes.
// Begin with LoaderError.swift.
// Uses Logs, Postgres, Readings, Text, Time.

import Logs

/// Prints one human-readable line on standard error.
func complain(_ message: String) {
    LogOutput.standardError.complain(message, by: "shelly-loader")
}
