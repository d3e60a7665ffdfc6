import Foundation

/// Many clients in a process of their own (Tests/Crowd). They send and never read, until `Crowd` is deallocated.
final class Crowd {
    private let process = Process()
    private let output = Pipe()

    /// Returns once all connections are open.
    ///
    /// - Parameters:
    ///   - request: each client sends it `times` times, as far as the server reads.
    init(port: Int, connections: Int, sending request: String = "", times: Int = 1) throws {
        process.executableURL = URL(fileURLWithPath: Rig.binaries! + "/crowd")
        process.arguments = ["\(port)", "\(connections)", "\(times)"]
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(request.utf8))
        try input.fileHandleForWriting.close()
        guard output.fileHandleForReading.availableData == Data("open\n".utf8) else {
            throw Rig.Failure(description: "the clients could not connect")
        }
    }

    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
