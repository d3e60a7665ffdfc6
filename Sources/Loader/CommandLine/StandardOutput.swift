import ArgumentParser
import Glibc

/// Standard output with a large buffer. If the reader has closed the pipe (`… | head`), the command ends without a
/// message.
final class StandardOutput {
    private var buffer: [UInt8] = []
    private static let pieceBytes = 1 << 16

    func put(_ bytes: [UInt8]) throws {
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.pieceBytes { try flush() }
    }

    /// Flushes the output of `print`.
    static func finish() throws {
        guard fflush(nil) != 0 else { return }
        if errno == EPIPE { throw ExitCode.success }
        throw LoaderError.output(String(cString: strerror(errno)))
    }

    func flush() throws {
        var written = 0
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + written, $0.count - written) }
            if count >= 0 {
                written += count
            } else if errno == EPIPE {
                throw ExitCode.success
            } else if errno != EINTR {
                throw LoaderError.output(String(cString: strerror(errno)))
            }
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
