/// What the handlers of requests tell the connection about its client.
enum ConnectionEvent: Sendable {
    /// The client has shown a valid key.
    case keyShown
}
