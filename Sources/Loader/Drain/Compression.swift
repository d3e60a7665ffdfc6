import Dispatch
import Glibc
import Logging
import Spool
import Time

/// Compresses loaded segments, the oldest first, never within a transaction: behind a single run, or beside `--follow` on a
/// thread of its own with low priority.
///
/// The newest segment of a spool stays plain, and so does one that saves no block of the disk, or belongs to another spool.
/// Segments that save no block are remembered in the spool, so that the next turn does not examine their files again.
struct Compression: Sendable {
    let directory: SpoolDirectory
    let logger: Logger
    let shutdown: ShutdownSignal

    private enum Outcome {
        /// The segment is compressed or gone, or the run is interrupted.
        case done
        /// The segment could not be compressed. It was logged, and the next one may succeed.
        case failed
        /// The disk has no room. It was logged.
        case full
    }

    /// A single run begins no further segment after this time, or after so many failures.
    private static let runTime = Duration.seconds(10)
    private static let runFailures = 3
    /// Pauses of `follow`: when there was nothing to do, and after a failure.
    private static let idlePause = Duration.seconds(30)
    private static let failurePause = Duration.seconds(600)
    /// A file up to this length takes a block of the disk, compressed or not.
    private static let smallestBytes = 4096
    /// All short segments are examined again after this time, in case a file was replaced by hand.
    private static let longestMemory = Duration.seconds(86_400)

    /// Compresses segments for a bounded time.
    ///
    /// - Parameter segments: all segments by number, as `SpoolDirectory.segments` lists them.
    func run(_ segments: [SpoolDirectory.Segment]) {
        let start = ContinuousClock.now
        var failures = 0
        turn(segments) { outcome in
            if outcome == .failed { failures += 1 }
            return outcome != .full && failures < Self.runFailures && ContinuousClock.now - start < Self.runTime
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
            while !shutdown.isRequested {
                do throws(SpoolError) {
                    var start = ContinuousClock.now
                    turn(try directory.segments()) { outcome in
                        // At least half of the disk's time is the receiver's.
                        shutdown.pause(outcome == .done ? ContinuousClock.now - start : Self.failurePause)
                        start = .now
                        return true
                    }
                    shutdown.pause(Self.idlePause)
                } catch {
                    warn(error)
                    shutdown.pause(Self.failurePause)
                }
            }
            isOver.signal()
        }
        return { isOver.wait() }
    }

    /// Compresses the loaded segments of the list that are plain, the oldest first.
    ///
    /// - Parameter goesOn: called with the outcome of each segment; no other one is begun if it returns false.
    private func turn(_ segments: [SpoolDirectory.Segment], goesOn: (Outcome) -> Bool) {
        let mark = recentMark()
        var short: [Int] = []
        var isOver = false
        for segment in segments.dropLast() where segment.isLoaded && !segment.isCompressed {
            if mark.segments.contains(segment.number) {
                short.append(segment.number)
                continue
            }
            if isOver || shutdown.isRequested { continue }
            guard let bytes = FileLength.of(segment.path) else { continue }
            if bytes <= Self.smallestBytes {
                short.append(segment.number)
            } else if isOurs(segment) {
                isOver = !goesOn(compress(segment))
            }
        }
        let found = SegmentNumbers(short)
        // Without the mark, the next turn examines them again.
        if found != mark.segments { try? directory.write(PlainMark(segments: found, examinedAt: mark.examinedAt)) }
    }

    /// The mark in the spool, or one without segments.
    private func recentMark() -> PlainMark {
        // The clock may have been set back.
        guard let mark = directory.plainMark(),
            (.zero..<Self.longestMemory).contains(Timestamp.now - mark.examinedAt)
        else { return PlainMark(segments: SegmentNumbers([]), examinedAt: .now) }
        return mark
    }

    private func isOurs(_ segment: SpoolDirectory.Segment) -> Bool {
        let header = try? directory.disk.openSegment(segment.path).segmentHeader()
        return header?.incompatibilities(in: directory, as: segment.number).isEmpty == true
    }

    private func compress(_ segment: SpoolDirectory.Segment) -> Outcome {
        do throws(SpoolError) {
            guard let result = try directory.compress(segment, isCancelled: { shutdown.isRequested }) else {
                return .done
            }
            logger.info(
                "segment \(SpoolPosition.digits(segment.number)) is compressed",
                metadata: ["text": "\(result.textBytes)", "bytes": "\(result.bytes)"])
            return .done
        } catch {
            // The retention has removed it meanwhile.
            if !FileLength.exists(segment.path) { return .done }
            warn(error)
            if case .disk(_, _, .noSpace) = error { return .full }
            return .failed
        }
    }

    private func warn(_ error: SpoolError) {
        logger.warning(
            """
            a loaded segment stays uncompressed for now: \(error); check the disk's room and its rights, or set \
            LOADER_COMPRESS=off
            """)
    }
}
