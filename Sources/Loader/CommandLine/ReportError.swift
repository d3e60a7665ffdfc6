import Logs

/// Prints one human-readable line on standard error.
func reportError(_ message: String) {
    LogOutput.standardError.reportError(message, by: "shelly-loader")
}
