import Foundation
import Synchronization
import Testing

/// Every batch that clients sent, and its answer. Each batch has a device of its own, so that a device's readings show
/// whether its batch was kept.
final class BatchBook: Sendable {
    enum Fate {
        /// Sent and not answered. The batch may be in the spool or not, but only as a whole.
        case unanswered
        /// 503. Its keys count as new if the client sends it to the same receiver again.
        case refused
        case acknowledged
        /// Acknowledged after the book was closed.
        case tooLate
    }

    /// Readings in a batch.
    let readings: Int
    /// Whether every batch has one more reading that is an error, for the loader to dead-letter.
    let hasFault: Bool
    /// White space in every batch, in bytes.
    let padding: Int
    private let fates = Mutex([String: Fate]())
    private let isClosed = Flag()

    init(readings: Int = 20, hasFault: Bool = false, padding: Int = 0) {
        self.readings = readings
        self.hasFault = hasFault
        self.padding = padding
    }

    var all: [String: Fate] { fates.withLock { $0 } }

    func devices(_ fate: Fate) -> [String] { all.filter { $0.value == fate }.keys.sorted() }

    var acknowledged: Int { fates.withLock { $0.values.count { $0 == .acknowledged } } }

    func body(_ device: String) -> String {
        let space = String(repeating: " ", count: padding)
        let batch = String(Rig.batch(device, minutes: 0..<readings).dropLast()) + space + "}"
        guard hasFault else { return batch }
        let fault = "{\"src\":\"\(device)\",\"timestamp\":1732320000,\"params\":{\"switch:1\":{\"apower\":\"x\"}}}"
        return batch.dropLast(space.count + 2) + "," + fault + "]" + space + "}"
    }

    /// Marks later acknowledgements as `tooLate`: they come after a simulated power cut, so no client has received
    /// them.
    func close() { fates.withLock { _ in isClosed.set() } }

    /// Sends a device's batch and records its answer. A 200 must count all of its readings as new, and a 503 must have
    /// Retry-After.
    @discardableResult
    func post(_ device: String, through client: RawClient) throws -> Rig.Answer {
        try send(device, through: client)
        return try awaitAnswer(device, from: client)
    }

    /// Sends a device's batch and does not wait for its answer.
    func send(_ device: String, through client: RawClient) throws {
        fates.withLock { if $0[device] == nil { $0[device] = .unanswered } }
        try client.sendBatch(body(device))
    }

    /// Receives the answer to a device's batch and records it.
    @discardableResult
    func awaitAnswer(_ device: String, from client: RawClient) throws -> Rig.Answer {
        let answer = try client.answer()
        switch answer.status {
        case 200:
            fates.withLock { $0[device] = isClosed.isSet ? .tooLate : .acknowledged }
            let isNew = answer.count("inserted") == readings && answer.count("duplicates") == 0
            #expect(isNew, "\(device): \(answer.text)")
        case 503:
            fates.withLock { $0[device] = .refused }
            #expect(answer.headers.contains("retry-after: "))
        default: Issue.record("\(device): \(answer.status) \(answer.text)")
        }
        return answer
    }

    func post(
        _ device: String, through client: RawClient, expecting status: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let answer = try post(device, through: client)
        #expect(answer.status == status, "\(device): \(answer.text)", sourceLocation: sourceLocation)
    }

    /// Sends batches until one is not acknowledged, or until the receiver is gone.
    func postUntilRefused(_ prefix: String, through client: RawClient) {
        var number = 0
        while (try? post("\(prefix)-\(number)", through: client))?.status == 200 { number += 1 }
    }
}

extension Rig {
    /// A new spool and an empty database, in less time than a new rig takes.
    func beginAgain() throws {
        spool = directory + "/spool-" + UUID().uuidString
        _ = try query("TRUNCATE power_logs, spool_progress; SELECT true")
    }

    /// The number of readings in the spool for each device, as `cat` prints them.
    func readingsInSpool() throws -> [String: Int] {
        let script = #""$0" cat --readings | grep -o '"device_id":"[^"]*' | cut -d'"' -f4 | sort | uniq -c"#
        let output = try run(
            "/bin/bash", ["-c", script, Self.binaries! + "/shelly-loader"], environment: ["SPOOL_DIR": spool])
        var counts: [String: Int] = [:]
        for line in output.text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let count = Int(words[0]) else { throw Failure(description: output.text) }
            counts[String(words[1])] = count
        }
        return counts
    }

    /// The number of readings in the table for each device whose name begins with `prefix`.
    func readingsInTable(_ prefix: String = "") throws -> [String: Int] {
        let json = try query(
            """
            SELECT coalesce(json_object_agg(device_id, n), '{}') FROM (
                SELECT device_id, count(*) AS n FROM power_logs WHERE starts_with(device_id, '\(prefix)')
                GROUP BY device_id) AS devices
            """)
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8))
        return (object as? [String: NSNumber] ?? [:]).mapValues(\.intValue)
    }

    /// The number of acknowledged batches that are not held as a whole. Every other batch must be held as a whole or
    /// not at all, and every held device must be in the book.
    func lost(_ held: [String: Int], _ book: BatchBook) -> Int {
        let fates = book.all
        var lost = 0
        for (device, fate) in fates {
            let count = held[device] ?? 0
            if fate == .acknowledged { lost += count == book.readings ? 0 : 1 }
            if fate != .acknowledged { #expect(count == 0 || count == book.readings, "\(device): \(count)") }
        }
        let invented = held.keys.filter { fates[$0] == nil }
        #expect(invented.isEmpty, "\(invented.prefix(3))")
        return lost
    }

    /// Sends every batch of the book once more. The readings of an acknowledged batch must be duplicates; those of any
    /// other batch must be all new or all duplicates.
    func expectLedgerKnows(_ book: BatchBook) throws {
        let devices = Array(book.all)
        concurrently(min(4, devices.count)) { [self] client in
            let connection = try RawClient(port: port)
            for index in stride(from: client, to: devices.count, by: min(4, devices.count)) {
                let (device, fate) = devices[index]
                let again = try connection.post(book.body(device))
                let new = again.count("inserted")
                #expect(new.map { $0 + (again.count("duplicates") ?? 0) } == book.readings, "\(device): \(again.text)")
                switch fate {
                case .acknowledged: #expect(new == 0, "\(device) was acknowledged: \(again.text)")
                case .refused, .unanswered, .tooLate:
                    #expect(new == 0 || new == book.readings, "\(device): \(again.text)")
                }
            }
        }
    }

    /// Drains, and expects every batch of the book in the table exactly once. Each batch has been acknowledged by now.
    func expectLoaded(_ book: BatchBook) throws {
        try expect(load("drain"), status: 0)
        let held = try readingsInTable()
        #expect(held == book.all.mapValues { _ in book.readings })
        let verified = try load("verify", "--database")
        #expect(verified.status == 0, "\(verified.text)")
    }
}

/// A flag that one thread sets and others read.
final class Flag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}
