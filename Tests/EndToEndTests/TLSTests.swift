import Foundation
import Testing

/// The receiver's own TLS, on real sockets.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct TLSTests {
    let rig: Rig
    private var certificate: String { rig.directory + "/server.crt" }
    private var key: String { rig.directory + "/server.key" }
    private var files: [String: String] { ["TLS_CERTIFICATE_FILE": certificate, "TLS_KEY_FILE": key] }

    init() throws { rig = try Rig() }

    /// Makes a certificate for 127.0.0.1 with the subject `name`, in the files that the receiver reads.
    private func makeCertificate(_ name: String, days: Int = 30, algorithm: String = "ec") throws {
        let kind =
            algorithm == "ec" ? ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["-newkey", "rsa:2048"]
        try rig.expect(
            rig.run(
                "/usr/bin/openssl",
                [
                    "req", "-x509", "-nodes", "-days", "\(days)", "-subj", "/CN=\(name)", "-keyout", key, "-out",
                    certificate,
                    "-addext", "subjectAltName=IP:127.0.0.1",
                ] + kind), status: 0)
    }

    private func startReceiver(_ environment: [String: String] = [:]) throws {
        rig.scheme = "https"
        try rig.startReceiver(files.merging(environment) { $1 })
    }

    private func reload(until line: String) throws {
        let before = try rig.receiverLog().components(separatedBy: line).count
        rig.signalReceiver(SIGHUP)
        try rig.wait("the receiver does not log: \(line)") {
            try rig.receiverLog().components(separatedBy: line).count > before
        }
    }

    /// The subject of the certificate on a new connection.
    private func subject(_ arguments: String...) throws -> String {
        let output = try rig.run(
            "/bin/bash",
            ["-c", "openssl s_client -connect 127.0.0.1:\(rig.port) \(arguments.joined(separator: " ")) </dev/null"])
        return output.text.split(separator: "\n").first { $0.hasPrefix("subject=") }.map(String.init) ?? output.text
    }

    @Test(arguments: ["ec", "rsa"]) func batchesAreAcceptedOverTLS(algorithm: String) throws {
        try makeCertificate("one", algorithm: algorithm)
        try startReceiver()
        let output = try rig.run(
            "/usr/bin/curl",
            [
                "-sS", "--cacert", certificate, "https://127.0.0.1:\(rig.port)/healthz", "--tlsv1.2", "-w",
                "%{ssl_verify_result}",
            ])
        #expect(output.text == #"{"status":"ok"}0"#)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).count("inserted") == 3)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).count("duplicates") == 3)
        // A body of 15 MiB, and requests that are refused before their body.
        let padded = Rig.batch("large", minutes: 0..<1) + String(repeating: " ", count: 15 << 20)
        #expect(try rig.post(padded).status == 200)
        #expect(try rig.post(padded, key: "wrong").status == 401)
        #expect(try rig.post(String(repeating: " ", count: (16 << 20) + 1)).status == 413)
        // Read access is the same as without TLS.
        #expect(try rig.get("/api/stats/spool").status == 200)
        #expect(rig.stopReceiver() == 0)
    }

    @Test func onlyCurrentTLSVersionsAreAccepted() throws {
        try makeCertificate("one")
        try startReceiver()
        #expect(try subject("-tls1_3").contains("one") && subject("-tls1_2").contains("one"))
        for version in ["-tls1_1", "-tls1"] {
            let output = try subject(version, "-cipher", "DEFAULT@SECLEVEL=0")
            #expect(output.contains("alert protocol version"), "\(output)")
        }
        // Plain HTTP is rejected, and other clients do not wait.
        let client = try RawClient(port: rig.port)
        try client.send(RawClient.head(contentLength: 10))
        _ = try? client.receive()
        #expect(try rig.get("/healthz").status == 200)
        try rig.wait("the failed handshakes are not logged") {
            try rig.receiverLog().contains("TLS handshake with 127.0.0.1 failed")
        }
    }

    /// Mozilla's intermediate list, as far as BoringSSL supports it.
    @Test(arguments: [("ec", "ECDSA"), ("rsa", "RSA")])
    func onlyCiphersWithAuthenticationAndForwardSecrecyAreAccepted(algorithm: String, name: String) throws {
        try makeCertificate("one", algorithm: algorithm)
        try startReceiver()
        func isTaken(_ cipher: String) throws -> Bool {
            let output = try subject("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
            #expect(output.contains("CN = one") || output.contains("handshake failure"), "\(output)")
            return output.contains("CN = one")
        }
        for cipher in ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"] {
            #expect(try isTaken("ECDHE-\(name)-\(cipher)"))
        }
        for cipher in ["AES128-SHA", "AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384"] {
            #expect(try !isTaken(cipher), "\(cipher)")
        }
        for cipher in ["AES128-SHA", "AES256-SHA", "AES128-SHA256"] {
            #expect(try !isTaken("ECDHE-\(name)-\(cipher)"), "\(cipher)")
        }
    }

    @Test func clientsThatReadNoAnswersWithinTLSAreClosed() throws {
        try makeCertificate("one")
        try startReceiver(["INGEST_ANSWER_SECONDS": "1"])
        let files = try rig.openFilesOfReceiver()
        let clients = try (0..<5).map { _ in try TLSClient(port: rig.port, rig.directory, reads: false) }
        for client in clients {
            for _ in 0..<200 { try? client.send("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n") }
        }
        try rig.wait("connections of clients that read nothing are not closed") {
            try rig.openFilesOfReceiver() <= files + 2
        }
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        withExtendedLifetime(clients) {}
    }

    @Test func newConnectionsGetTheNewestCertificateAndOldOnesContinue() throws {
        try makeCertificate("one")
        try startReceiver()
        let kept = try TLSClient(port: rig.port, rig.directory)
        #expect(try kept.get("/healthz").contains("200 OK"))
        #expect(try subject().contains("CN = one"))

        try makeCertificate("two")
        try reload(until: "TLS certificate is active")
        #expect(try subject().contains("CN = two"))
        #expect(try kept.get("/healthz").contains("200 OK"))

        // A key of another certificate, half a file, and no file: the active pair stays active, and the log has the
        // reason.
        let good = try String(contentsOfFile: key, encoding: .utf8)
        try makeCertificate("three")
        try good.write(toFile: key, atomically: true, encoding: .utf8)
        try reload(until: "TLS_KEY_FILE \(key) does not belong to the first certificate in \(certificate)")
        #expect(try subject().contains("CN = two"))
        try "-----BEGIN CERTIFICATE-----\nMII".write(toFile: certificate, atomically: true, encoding: .utf8)
        try reload(until: "the TLS certificate is unchanged: TLS_CERTIFICATE_FILE \(certificate): not PEM")
        try FileManager.default.removeItem(atPath: certificate)
        try reload(until: "TLS_CERTIFICATE_FILE \(certificate): No such file or directory")
        #expect(try subject().contains("CN = two"))

        try makeCertificate("four")
        try reload(until: "TLS certificate is active")
        #expect(try subject().contains("CN = four"))
        #expect(try kept.get("/healthz").contains("200 OK"))
    }

    @Test func anInvalidCertificateOrKeyStopsTheStart() throws {
        func start(_ environment: [String: String]) throws -> String {
            let output = try rig.run(
                Rig.binaries! + "/shelly-receiver", ["--port", "0", "--spool", rig.spool], environment: environment)
            #expect(output.status == 1)
            return output.text
        }
        #expect(try start(["TLS_KEY_FILE": key]).contains("must both be set, or neither"))
        #expect(try start(files).contains("TLS_CERTIFICATE_FILE \(certificate): No such file or directory"))
        try makeCertificate("one")
        let good = try String(contentsOfFile: certificate, encoding: .utf8)
        try makeCertificate("two")
        try good.write(toFile: certificate, atomically: true, encoding: .utf8)
        #expect(try start(files).contains("does not belong to the first certificate"))
        try rig.expect(
            rig.run("/usr/bin/openssl", ["ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", key + ".locked"]),
            status: 0)
        let locked = try start(["TLS_CERTIFICATE_FILE": certificate, "TLS_KEY_FILE": key + ".locked"])
        #expect(locked.contains("protected by a passphrase"))
    }

    @Test func aCertificateThatExpiresSoonCausesAWarning() throws {
        let before = Date().timeIntervalSince1970
        try makeCertificate("one", days: 3)
        let after = Date().timeIntervalSince1970
        try startReceiver()
        #expect(try rig.receiverLog().contains("expires in 2 days"))
        let name = "\nshelly_tls_certificate_expiry_timestamp_seconds "
        let metrics = try rig.get("/metrics").text
        let ends = try #require(
            metrics.range(of: name).flatMap { Double(metrics[$0.upperBound...].prefix { $0 != "\n" }) })
        #expect((before - 1...after + 1).contains(ends - 3 * 86_400))
    }

    /// A handshake that never begins, one that stops and one that drips: each is closed in time, and other clients are
    /// served meanwhile.
    @Test func slowHandshakesTimeOutAndDelayNoOther() throws {
        try makeCertificate("one")
        // The beginning of a client hello of 16 KiB, the longest record.
        for beginning in ["", "\u{16}\u{03}\u{01}\u{40}\u{00}\u{01}\u{00}\u{3f}"] {
            // With a timeout of an hour a batch that is accepted cannot have waited for the slow handshakes.
            try startReceiver()
            let slow = try begin(beginning)
            #expect(try rig.post(Rig.batch("plug-\(beginning.utf8.count)", minutes: 0..<1)).status == 200)
            #expect(!slow.contains { $0.hasInput })
            rig.stopReceiver(SIGKILL)

            try startReceiver(["INGEST_HEAD_SECONDS": "1"])
            let files = try rig.openFilesOfReceiver()
            let clients = try begin(beginning)
            try rig.wait("slow handshakes do not time out") {
                if !beginning.isEmpty { for client in clients { try? client.send("\u{0}") } }
                return clients.allSatisfy(\.hasInput)
            }
            for client in clients { _ = try? client.receive() }
            withExtendedLifetime(clients) {}
            try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= files + 2 }
            #expect(try rig.receiverLog().contains("not done in time"))
            rig.stopReceiver(SIGKILL)
        }
    }

    /// Fifty clients that have sent only the beginning of a handshake.
    private func begin(_ beginning: String) throws -> [RawClient] {
        let clients = try (0..<50).map { _ in try RawClient(port: rig.port) }
        for client in clients { try client.send(beginning) }
        return clients
    }

    @Test func clientsThatDisconnectDuringAHandshakeLeaveNoOpenFiles() throws {
        try makeCertificate("one")
        try startReceiver()
        let files = try rig.openFilesOfReceiver()
        for round in 0..<100 {
            let client = try RawClient(port: rig.port)
            try client.send(round.isMultiple(of: 2) ? "\u{16}\u{03}\u{01}" : "nonsense")
        }
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= files + 2 }
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
    }

    /// Idle connections are closed at once to make room, without waiting for the close_notify of a client that may
    /// never answer.
    @Test func idleConnectionsInTLSBlockNoClient() throws {
        try makeCertificate("one")
        try startReceiver(["INGEST_CONNECTIONS": "30"])
        let files = try rig.openFilesOfReceiver()
        let frozen = try (0..<25).map { _ in try TLSClient(port: rig.port, rig.directory) }
        for client in frozen {
            #expect(try client.get("/healthz").contains("200 OK"))
            client.freeze()
        }
        let clients = try (0..<100).map { _ in try RawClient(port: rig.port) }
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        try rig.wait("idle connections are not closed") { try rig.openFilesOfReceiver() <= files + 40 }
        withExtendedLifetime((frozen, clients)) {}
    }

    @Test func withinTLSASlowHeaderIsAnsweredWith408() throws {
        try makeCertificate("one")
        try startReceiver(["INGEST_HEAD_SECONDS": "1", "INGEST_BODY_SECONDS": "1"])
        for beginning in ["GET /healthz HT", RawClient.head(contentLength: 100) + "{"] {
            var answer = ""
            // The handshake has a timeout of a second too, which a busy machine can exceed; then there is no answer.
            try rig.wait("there is no answer") {
                let client = try TLSClient(port: rig.port, rig.directory)
                try client.send(beginning)
                answer = try client.receive(until: "}")
                return !answer.isEmpty
            }
            #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
        }
        // A connection without a request may stay idle for longer than that.
        try rig.wait("a connection without a request is closed") {
            let idle = try TLSClient(port: rig.port, rig.directory)
            usleep(1_500_000)
            return try idle.get("/healthz").contains("200 OK")
        }
    }
}

/// A connection by openssl(1) that stays open between requests.
private final class TLSClient {
    private let process = Process()
    private let input = Pipe()
    /// A copy of the pipe's reading end, so that a write to a client that has ended causes no SIGPIPE.
    private let readingEnd: Int32
    private let output: String
    private var received = ""
    private let unread = Pipe()

    /// - Parameter reads: false for a client that stops reading once its pipe is full.
    init(port: Int, _ directory: String, reads: Bool = true) throws {
        readingEnd = fcntl(input.fileHandleForReading.fileDescriptor, F_DUPFD_CLOEXEC, 0)
        output = directory + "/tls-" + UUID().uuidString
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = ["s_client", "-quiet", "-connect", "127.0.0.1:\(port)"]
        process.standardInput = input
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardOutput = reads ? file : unread
        process.standardError = FileHandle.nullDevice
        try process.run()
        try file.close()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        close(readingEnd)
    }

    /// Stops the client: it neither reads nor answers any more.
    func freeze() { kill(process.processIdentifier, SIGSTOP) }

    func send(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

    /// The text since the last call, once it contains `mark` or the connection has ended.
    func receive(until mark: String) throws -> String {
        let before = received.utf8.count
        let deadline = ContinuousClock.now + .seconds(Rig.hangSeconds)
        while true {
            let hasEnded = !process.isRunning
            received = try String(contentsOfFile: output, encoding: .utf8)
            let news = String(decoding: Array(received.utf8).dropFirst(before), as: UTF8.self)
            if news.contains(mark) || hasEnded { return news }
            guard ContinuousClock.now < deadline else {
                throw Rig.Failure(description: "no answer within TLS: \(news)")
            }
            usleep(10_000)
        }
    }

    func get(_ path: String) throws -> String {
        try send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try receive(until: "}")
    }
}
