import Dispatch
import Glibc
import Logging
import Spool

/// Compresses loaded segments, the oldest first, never within a transaction: behind a single run, or beside `--follow` on a
/// thread of its own with low priority.
///
/// The newest segment of a spool stays plain, and so does one that saves no block of the disk, or belongs to another spool.
struct Compression: Sendable {
    let directory: SpoolDirectory
    let logger: Logger
    let shutdown: ShutdownSignal

    /// The outcome of one turn.
    private enum Turn {
        case compressed
        /// A segment could not be compressed. It was logged, and the next turn takes another one.
        case failed
        /// The disk has no room, or the spool cannot be listed.
        case full
        /// There is no segment to compress, or the run is interrupted.
        case idle
    }

    /// A single run begins no further segment after this time, or after so many failures.
    private static let runTime = Duration.seconds(10)
    private static let runFailures = 3
    /// Pauses of `follow`: when there was nothing to do, and after a failure.
    private static let idlePause = Duration.seconds(30)
    private static let failurePause = Duration.seconds(600)
    /// A file up to this length takes a block of the disk, compressed or not.
    private static let smallestBytes = 4096

    /// Compresses segments for a bounded time.
    func run() {
        let start = ContinuousClock.now
        var failed: Set<Int> = []
        while ContinuousClock.now - start < Self.runTime, failed.count < Self.runFailures {
            switch turn(&failed) {
            case .compressed, .failed: break
            case .full, .idle: return
            }
        }
    }

    /// Compresses segments on a thread of its own until the run is interrupted.
    ///
    /// - Returns: a function that waits for the end of the thread, which is near once the run is interrupted.
    func follow() -> () -> Void {
        let isOver = DispatchSemaphore(value: 0)
        DispatchQueue(label: "compression").async {
            // On Linux each thread has its own priority (setpriority(2)). It is no fault if the system refuses the call.
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
            var failed: Set<Int> = []
            while !shutdown.isRequested {
                let start = ContinuousClock.now
                switch turn(&failed) {
                // At least half of the disk's time is the receiver's.
                case .compressed: shutdown.pause(ContinuousClock.now - start)
                case .failed, .full: shutdown.pause(Self.failurePause)
                case .idle:
                    shutdown.pause(Self.idlePause)
                    failed = []
                }
            }
            isOver.signal()
        }
        return { isOver.wait() }
    }

    /// Compresses the oldest plain segment that has not failed.
    private func turn(_ failed: inout Set<Int>) -> Turn {
        var candidate: SpoolDirectory.Segment?
        do throws(SpoolError) {
            candidate = try next(failed)
            guard let segment = candidate else { return .idle }
            guard let result = try directory.compress(segment, isCancelled: { shutdown.isRequested }) else {
                return .idle
            }
            logger.info(
                "segment \(SpoolPosition.digits(segment.number)) is compressed",
                metadata: ["text": "\(result.textBytes)", "bytes": "\(result.bytes)"])
            return .compressed
        } catch {
            if let candidate {
                failed.insert(candidate.number)
                // The retention has removed it meanwhile.
                if !FileLength.exists(candidate.path) { return .compressed }
            }
            logger.warning(
                """
                a loaded segment stays uncompressed for now: \(error); check the disk's room and its rights, or set \
                LOADER_COMPRESS=off
                """)
            if case .disk(_, _, .noSpace) = error { return .full }
            return candidate == nil ? .full : .failed
        }
    }

    private func next(_ failed: Set<Int>) throws(SpoolError) -> SpoolDirectory.Segment? {
        for segment in try directory.segments().dropLast()
        where segment.isLoaded && !segment.isCompressed && !failed.contains(segment.number)
            && FileLength.of(segment.path) ?? 0 > Self.smallestBytes
        {
            if let header = try? directory.disk.openSegment(segment.path).segmentHeader(),
                header.incompatibilities(in: directory, as: segment.number).isEmpty
            {
                return segment
            }
        }
        return nil
    }
}
