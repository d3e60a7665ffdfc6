import Dispatch
import Logging
import Readings
import Spool
import Synchronization

/// The keys of a retained segment, which another thread finds out: from its digest, or from the segment itself.
final class SegmentLookup: Sendable {
    /// What could be read, and what kept the rest from it.
    typealias Finding = (digest: LedgerDigest?, error: SpoolError?)

    private let found = Mutex<Finding>((nil, nil))
    private let isOver = DispatchSemaphore(value: 0)

    init(
        of segment: SpoolDirectory.Segment, in directory: SpoolDirectory, _ logger: Logger, on queue: DispatchQueue
    ) {
        queue.async { [self] in
            let finding = Self.look(into: segment, of: directory, logger)
            found.withLock { $0 = finding }
            isOver.signal()
        }
    }

    /// Waits for it; to be asked once.
    func result() -> Finding {
        isOver.wait()
        return found.withLock { found in
            defer { found = (nil, nil) }
            return found
        }
    }

    private static func look(
        into segment: SpoolDirectory.Segment, of directory: SpoolDirectory, _ logger: Logger
    ) -> Finding {
        do throws(SpoolError) {
            // The segment first: of one that is not on the disk a digest proves nothing.
            let file = try directory.openAsOnDisk(segment)
            if let digest = try? directory.digest(of: segment, file) { return (digest, nil) }
            return read(segment, try SegmentReader(file, path: segment.path), of: directory, logger)
        } catch {
            return (nil, error)
        }
    }

    private static func read(
        _ segment: SpoolDirectory.Segment, _ reader: SegmentReader, of directory: SpoolDirectory, _ logger: Logger
    ) -> Finding {
        precondition(BatchDecoder.padding <= SegmentReader.padding)
        let decoder = BatchDecoder()
        var devices = DeviceNumbers()
        var keys = SegmentKeys()
        var records = 0
        var created = ""
        var failure: SpoolError?
        do throws(SpoolError) {
            while let event = try reader.next() {
                switch event {
                case .record(let record):
                    records += 1
                    // What the receiver took once decodes again; a record that does not is the loader's to report.
                    guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { continue }
                    keys.note(batch, numbering: &devices)
                case .damage(let damage):
                    logger.warning(
                        "damage in the spool; good records around it are kept",
                        metadata: [
                            "file": "\(segment.path)", "bytes": "\(damage.range)", "reason": "\(damage.reason)",
                        ])
                case .header(let header): created = header.created
                case .footer, .tornTail: break
                }
            }
        } catch {
            failure = error
        }
        let digest = LedgerDigest(
            spool: directory.identity, segment: segment.number, created: created, records: records, bytes: reader.end,
            keys: keys.numbered(of: devices.names))
        // Nobody writes to it any more, and it is durable as it was read: the next start has it easier.
        if failure == nil, !digest.deltas.isEmpty { directory.write(digest) }
        return (digest, failure)
    }
}
