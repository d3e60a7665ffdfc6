import NIOCore
import SystemPackage

extension Error {
    /// The system's text for an error of a system call, such as `Address already in use`, without NIO's name of the call;
    /// the error's own text for any other error.
    var cause: String { (self as? IOError).map { Errno(rawValue: $0.errnoCode).description } ?? "\(self)" }
}
