import HummingbirdCore
import NIOCore
import NIOHTTPTypes
import Synchronization

/// A connection between its setup and its task.
///
/// If the server stops in between, it drops the connection. It is closed then: swift-nio ends the process when a channel's
/// writer is dropped that was not finished.
final class AcceptedConnection: ServerChildChannelValue {
    typealias Requests = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let channel: any Channel
    private let requests: Mutex<Requests?>

    init(_ requests: Requests) {
        channel = requests.channel
        self.requests = Mutex(requests)
    }

    deinit {
        guard let requests = take() else { return }
        Task { try? await requests.executeThenClose { _, _ in } }
    }

    /// Hands over the requests, once, to the task that answers them.
    func take() -> Requests? { requests.withLock { $0.take() } }
}
