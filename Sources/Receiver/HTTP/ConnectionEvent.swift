/// Events by which the handlers of requests inform the connection about its client.
enum ConnectionEvent: Sendable {
    /// The client has shown a valid key.
    case keyShown
}
