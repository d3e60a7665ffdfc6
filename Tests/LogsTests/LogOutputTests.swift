import Foundation
import Logging
import Testing

@testable import Logs

struct LogOutputTests {
    private final class Channel {
        let reading: Int32
        let writing: Int32
        private var isReading = true

        init(socket: Bool = false) {
            var ends: [Int32] = [-1, -1]
            if socket {
                #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            } else {
                #expect(pipe(&ends) == 0)
            }
            (reading, writing) = (ends[0], ends[1])
        }

        deinit {
            stopReading()
            close(writing)
        }

        func stopReading() {
            if isReading { close(reading) }
            isReading = false
        }

        /// The available text, without waiting for more.
        func read() -> String {
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            var wanted = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
            while poll(&wanted, 1, 0) > 0 {
                let count = Glibc.read(reading, &buffer, buffer.count)
                guard count > 0 else { break }
                text += buffer.prefix(count)
            }
            return String(decoding: text, as: UTF8.self)
        }

        var inode: String {
            var status = stat()
            fstat(writing, &status)
            return "\(status.st_dev):\(status.st_ino)"
        }
    }

    private func logger(_ output: LogOutput) -> Logger {
        Logger(label: "test") { LineLogHandler(label: $0, output: output) }
    }

    @Test func metadataComesInAlphabeticalOrder() {
        let channel = Channel()
        var logger = logger(LogOutput(descriptor: channel.writing, format: .text))
        logger[metadataKey: "m"] = "1"
        for _ in 0..<20 { logger.info("order", metadata: ["z": "3", "a": "4", "m": "2", "q": "5"]) }
        let lines = channel.read().split(separator: "\n")
        #expect(lines.count == 20 && lines.allSatisfy { $0.hasSuffix("order: a=4 m=2 q=5 z=3") })
    }

    /// As systemd.exec(5) requires: the variable must name this very socket, because a child may have inherited it.
    @Test func onlyTheSocketOfJOURNAL_STREAMIsTheJournal() {
        let socket = Channel(socket: true)
        let pipe = Channel()
        logger(LogOutput(descriptor: socket.writing, format: .text, journalStream: socket.inode)).error("one")
        #expect(socket.read() == "<3>one\n")
        logger(LogOutput(descriptor: socket.writing, format: .text, journalStream: pipe.inode)).error("two")
        #expect(socket.read().hasSuffix("Z error   two\n"))
        LogOutput(descriptor: socket.writing, format: .text, journalStream: socket.inode).reportError(
            "no", by: "program")
        #expect(socket.read() == "<3>no\n")
        LogOutput(descriptor: pipe.writing, format: .text).reportError("no\nway", by: "program")
        #expect(pipe.read() == "program: no\\nway\n")
    }

    @Test(arguments: [false, true])
    func aReaderThatDoesNotReadDelaysNoCaller(socket: Bool) {
        let channel = Channel(socket: socket)
        let output = LogOutput(descriptor: channel.writing, format: .text)
        let logger = logger(output)
        let start = ContinuousClock.now
        for index in 0..<20_000 { logger.info("\(index)") }
        // One wait of a tenth of a second. With one wait for each line the total would be half an hour.
        #expect(start.duration(to: .now) < .seconds(600))
        let lines = channel.read().split(separator: "\n")
        #expect(lines.count > 100 && lines.count < 20_000)
        #expect(lines.enumerated().allSatisfy { $1.hasSuffix(" info    \($0)") })
        logger.info("back")
        let after = channel.read().split(separator: "\n")
        #expect(after.count == 2 && after[0].hasSuffix(" info    back"))
        #expect(after[1].hasSuffix("log lines are missing: lines=\(20_000 - lines.count)"))
        logger.info("again")
        #expect(channel.read().split(separator: "\n").count == 1)
    }

    @Test(arguments: [false, true])
    func aClosedReaderDoesNotEndTheProcess(socket: Bool) {
        StandardStreams.secure()
        let channel = Channel(socket: socket)
        let output = LogOutput(descriptor: channel.writing, format: .text)
        channel.stopReading()
        for _ in 0..<100 { logger(output).info("to nobody") }
        #expect(output.takeLost() == 100)
    }

    /// The output must not set O_NONBLOCK for other processes that share the pipe.
    @Test func thePipesDescriptorStaysBlocking() {
        let channel = Channel()
        logger(LogOutput(descriptor: channel.writing, format: .text)).info("message")
        #expect(fcntl(channel.writing, F_GETFL) & O_NONBLOCK == 0)
    }

    @Test func linesOfManyWritersDoNotMix() {
        let channel = Channel()
        let first = logger(LogOutput(descriptor: channel.writing, format: .json))
        let second = logger(LogOutput(descriptor: channel.writing, format: .json))
        let text = String(repeating: "x", count: 1900)
        DispatchQueue.concurrentPerform(iterations: 30) { index in
            (index % 2 == 0 ? first : second).info("\(text)", metadata: ["index": "\(index)"])
        }
        let lines = channel.read().split(separator: "\n")
        #expect(lines.count == 30)
        #expect(lines.allSatisfy { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) != nil })
    }

    @Test func aFileIsWrittenFromItsPresentPosition() throws {
        let path = NSTemporaryDirectory() + "logs-" + UUID().uuidString
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        defer {
            close(descriptor)
            unlink(path)
        }
        Glibc.write(descriptor, "before\n", 7)
        let output = LogOutput(descriptor: descriptor, format: .text)
        output.reportError("one", by: "p")
        output.reportError("two", by: "p")
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "before\np: one\np: two\n")
    }
}
