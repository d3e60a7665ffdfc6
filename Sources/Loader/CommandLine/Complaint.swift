import Logs

/// Prints one human-readable line on standard error.
func complain(_ message: String) {
    LogOutput.standardError.complain(message, by: "shelly-loader")
}
