import Foundation
import Testing

/// strace(1) makes a system call of a real program fail, return a false result, take long, or kill the program.
enum Strace {
    static let path = "/usr/bin/strace"
    /// Delays a call until strace ends: by more than `Rig.hangSeconds`, in microseconds.
    static let hang = "delay_enter=1000000000"

    /// The reason why strace cannot run here; nil if it can.
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

    /// A command to put before a program's own. With `-D` the started process itself becomes the program.
    ///
    /// - Parameters:
    ///   - injection: as strace's `inject=`. A `when=` in it counts the calls of each thread separately.
    ///   - paths: if there are any, only calls on these files count.
    static func around(_ injection: String, paths: [String] = []) -> [String] {
        // Without --seccomp-bpf, because an injected signal gets lost with it.
        [path, "-D", "-f", "-o", "/dev/null"] + options(injection, paths)
    }

    /// A command to put before a program's own. It ends when the program has ended and the log is complete.
    ///
    /// - Parameter calls: as strace's `trace=`.
    static func recording(_ calls: String, in log: String) -> [String] {
        [path, "-f", "-o", log, "-e", "trace=\(calls)"]
    }

    private static func options(_ injection: String, _ paths: [String]) -> [String] {
        let calls = injection.prefix { $0 != ":" }
        return paths.flatMap { ["-P", $0] } + ["-e", "trace=\(calls)", "-e", "inject=\(injection)"]
    }

    /// Injects into the rig's running receiver until `end`.
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

        /// Detaches from the receiver if it still runs: the kernel does that when the tracer dies. Any signal but
        /// SIGKILL would be blocked, because strace inherits the signal mask of the thread that started it.
        func end() {
            // The process id of a process that has ended may belong to another one.
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }

        deinit { end() }
    }

    /// Runs the body while strace injects into the receiver's system calls.
    static func injecting(_ injection: String, into rig: Rig, _ body: () throws -> Void) throws {
        let attached = try Attached(injection, to: rig)
        defer { attached.end() }
        try body()
    }
}
