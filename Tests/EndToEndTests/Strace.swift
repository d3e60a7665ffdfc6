import Foundation
import Testing

/// strace(1), with which a system call of a real program fails, lies, dawdles or is the last one.
enum Strace {
    static let path = "/usr/bin/strace"
    /// Delays a call until strace ends: by more than `Rig.hangSeconds`, in microseconds.
    static let hang = "delay_enter=1000000000"

    /// Why there can be none here; nil when it works.
    static let obstacle: String? = {
        guard access(path, X_OK) == 0 else { return "strace is not installed" }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-o", "/dev/null", "/bin/true"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return "strace does not start" }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? nil : "processes may not be traced here"
    }()

    /// A command in front of a program: `strace -D` is the program itself to whoever starts it.
    ///
    /// - Parameters:
    ///   - injection: as strace's `inject=`; a `when=` in it counts the calls of each thread for itself.
    ///   - paths: if any, only calls on these files count.
    static func around(_ injection: String, paths: [String] = []) -> [String] {
        // Without --seccomp-bpf, with which an injected signal gets lost.
        [path, "-D", "-f", "-o", "/dev/null"] + options(injection, paths)
    }

    /// A command in front of a program: it ends when the program has ended and the log is whole.
    ///
    /// - Parameter calls: as strace's `trace=`.
    static func recording(_ calls: String, in log: String) -> [String] {
        [path, "-f", "-o", log, "-e", "trace=\(calls)"]
    }

    private static func options(_ injection: String, _ paths: [String]) -> [String] {
        let calls = injection.prefix { $0 != ":" }
        return paths.flatMap { ["-P", $0] } + ["-e", "trace=\(calls)", "-e", "inject=\(injection)"]
    }

    /// Injects into the rig's running receiver, until it is let go.
    final class Attached {
        private let process = Process()

        init(_ injection: String, to rig: Rig) throws {
            let log = rig.directory + "/strace.log"
            process.executableURL = URL(fileURLWithPath: Strace.path)
            process.arguments =
                ["-f", "-o", "/dev/null", "-p", "\(rig.receiverProcess)"] + Strace.options(injection, [])
            process.standardInput = FileHandle.nullDevice
            try process.run(writing: .errors, to: log)
            try rig.wait("strace does not attach") { [process] in
                let text = try String(contentsOfFile: log, encoding: .utf8)
                guard process.isRunning else { throw Rig.Failure(description: "strace ended: \(text)") }
                return text.contains("attached")
            }
        }

        /// Lets the receiver go, if it still lives; the kernel does that when its tracer dies. A gentler signal would be
        /// blocked, as strace inherits the mask of the thread that started it.
        func end() {
            // The number of one that has ended may be another process's.
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }

        deinit { end() }
    }

    /// Runs the body while the receiver's system calls are interfered with.
    static func injecting(_ injection: String, into rig: Rig, _ body: () throws -> Void) throws {
        let attached = try Attached(injection, to: rig)
        defer { attached.end() }
        try body()
    }
}
