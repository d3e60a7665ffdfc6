import Logs

/// One line for people, on standard error.
func complain(_ message: String) {
    LogOutput.standardError.complain(message, by: "shelly-loader")
}
