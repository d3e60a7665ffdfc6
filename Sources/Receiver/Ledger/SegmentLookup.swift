import Dispatch
import Logging
import Readings
import Spool
import Synchronization

/// Finds the keys of retained segments on another thread, from their digests or from a segment itself.
final class SegmentLookup: Sendable {
    /// Segments that are looked up together.
    enum Subject: Sendable {
        case segment(SpoolDirectory.Segment)
        /// All segments of a range, from their merged digest.
        case merged(DigestRange, [SpoolDirectory.Segment])
    }

    enum Content {
        /// The digests, as far as the segment could be read, and the error that prevented reading the rest.
        case found([LedgerDigest], SpoolError?)
        /// The merged digest is missing or torn, or is not of exactly these segments.
        case notMerged
    }

    let subject: Subject
    private let found = Mutex<Content?>(nil)
    private let isOver = DispatchSemaphore(value: 0)

    init(of subject: Subject, in directory: SpoolDirectory, _ logger: Logger, on queue: DispatchQueue) {
        self.subject = subject
        queue.async { [self] in
            let content = Self.content(of: subject, in: directory, logger)
            found.withLock { $0 = content }
            isOver.signal()
        }
    }

    /// Blocks until the lookup is done. Call it once.
    func result() -> Content {
        isOver.wait()
        return found.withLock { found in
            defer { found = nil }
            return found ?? .notMerged
        }
    }

    private static func content(of subject: Subject, in directory: SpoolDirectory, _ logger: Logger) -> Content {
        do throws(SpoolError) {
            switch subject {
            case .segment(let segment):
                // The segment first: a digest proves nothing about a segment that is not on the disk.
                let file = try directory.openBypassingPageCache(segment)
                if let digest = try? directory.digest(of: segment, file) { return .found([digest], nil) }
                return read(segment, try SegmentReader(file, path: segment.path), of: directory, logger)
            case .merged(let range, let segments):
                guard let merged = directory.mergedDigest(range), merged.digests.count == segments.count else {
                    return .notMerged
                }
                for (digest, segment) in zip(merged.digests, segments) {
                    let file = try directory.openBypassingPageCache(segment)
                    guard (try? directory.isDigest(digest, of: segment, file)) == true else { return .notMerged }
                }
                return .found(merged.digests, nil)
            }
        } catch {
            guard case .segment = subject else { return .notMerged }
            return .found([], error)
        }
    }

    private static func read(
        _ segment: SpoolDirectory.Segment, _ reader: SegmentReader, of directory: SpoolDirectory, _ logger: Logger
    ) -> Content {
        precondition(BatchDecoder.padding <= SegmentReader.padding)
        let decoder = BatchDecoder()
        var devices = DeviceNumbers()
        var lastMessages: [LastMessage] = []
        var keys = SegmentKeys()
        var records = 0
        var created = ""
        var failure: SpoolError?
        do throws(SpoolError) {
            while let event = try reader.next() {
                switch event {
                case .record(let record):
                    records += 1
                    // A record that the receiver once accepted decodes again. If a record does not decode, the loader
                    // reports it.
                    guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { continue }
                    let numbers = batch.devices.map { devices.number(of: $0) ?? devices.add($0) }
                    for (device, last) in zip(numbers, batch.lastMessages) {
                        if device == lastMessages.count {
                            lastMessages.append(last)
                        } else {
                            lastMessages[device].add(last)
                        }
                    }
                    keys.insert(batch, numbers: numbers)
                case .damage(let damage):
                    logger.warning(
                        "damage in the spool; good records around it are kept",
                        metadata: [
                            "file": "\(segment.path)", "bytes": "\(damage.range)", "reason": "\(damage.reason)",
                        ])
                case .header(let header):
                    created = header.created
                    guard let rules = ReadingRules(header: header.rules) else {
                        throw SpoolError.unfit(segment.path, "its reading rules are unknown to this version")
                    }
                    decoder.rules = rules
                case .footer, .tornTail: break
                }
            }
        } catch {
            failure = error
        }
        let digest = LedgerDigest(
            spool: directory.identity, segment: segment.number, created: created, records: records, bytes: reader.end,
            keys: keys.numbered(of: devices.names, lastMessages))
        // The segment has no writer any more, and its bytes are durable as read: the digest makes the next start
        // faster.
        if failure == nil, !created.isEmpty { directory.write(digest) }
        return .found([digest], failure)
    }
}
