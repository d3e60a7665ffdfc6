// Verify: `verify`: the spool's records against themselves and against the database.
// Begin here.
// Uses DeadLetters, Partitions, Segments, Table, Postgres, Readings, Spool, Time.

import Readings
import Spool
import SystemPackage

/// Reads every segment of a spool and reports problems: checksums, headers, sequence, footers, gaps.
struct Verification {
    let directory: SpoolDirectory
    /// Compares the readings with the database; nil to check only the files.
    var reconciliation: Reconciliation?

    func run(_ report: VerificationReport) throws {
        // Read the mark first. A live spool may advance before the listing, but the listing then includes the segment
        // that the mark names.
        let mark = directory.loadMark()
        let segments = try directory.segments()
        var chain = SegmentChain(pruned: directory.pruneMark()?.through ?? 0)
        try checkFolders(segments, mark, report)
        for segment in segments {
            do {
                chain.add(try verify(segment, report), report)
            } catch SpoolError.disk(_, _, .noSuchFileOrDirectory) where !FileLength.exists(segment.path) {
                // It was moved to loaded/ after it was listed, or the receiver removed it because it was empty.
                try verifyMoved(segment, &chain, report)
            } catch let error as SpoolError {
                report.problem(ofFile: segment.path, error.description)
                chain.add(unreadable: segment.number)
            }
        }
        try reconciliation?.finish(report)
    }

    /// Checks the folders and the loader's marks.
    private func checkFolders(
        _ segments: [SpoolDirectory.Segment], _ mark: LoadMark?, _ report: VerificationReport
    ) throws {
        let (pending, loaded) = (try names(in: directory.pending), try names(in: directory.loaded))
        for (folder, names) in [(directory.pending, pending), (directory.loaded, loaded)] {
            for name in names
            where SegmentFileName.number(of: name) == nil
                || folder == directory.pending && SegmentFileName.isCompressed(name)
            {
                report.problem(
                    ofFile: folder.appending(name), "is not a segment; it is never loaded; move it to another place")
            }
        }
        var pendingNames: [Int: String] = [:]
        for name in pending { SegmentFileName.number(of: name).map { pendingNames[$0] = name } }
        // A segment that was moved in between was listed twice, and is no longer in pending/.
        for name in loaded {
            guard let number = SegmentFileName.number(of: name), let other = pendingNames[number],
                FileLength.exists(directory.pending.appending(other))
            else { continue }
            report.problem(
                ofFile: directory.loaded.appending(name), "is in pending/ as well; compare the two and remove one")
        }
        for segment in segments where segment.isLoaded && !segment.isCompressed {
            let other = directory.compressedPath(segment.number)
            guard FileLength.exists(other), FileLength.exists(segment.path) else { continue }
            report.note(
                "\(segment.path) is compressed as well; the plain file counts until the next drain has compared both")
        }
        let newest = segments.last?.number ?? 0
        let marked = [mark?.segment ?? 0].filter { $0 > newest }
        for number in Set(marked + (reconciliation?.segments(beyond: newest) ?? [])).sorted() {
            report.problem(
                ofFile: directory.pending,
                "segment \(SpoolPosition.digits(number)) is missing, but some of it is loaded")
        }
    }

    private func names(in folder: FilePath) throws(SpoolError) -> [String] {
        do throws(Errno) {
            return try directory.disk.names(in: folder).sorted()
        } catch {
            throw .disk("list", folder, error)
        }
    }

    private func verifyMoved(
        _ segment: SpoolDirectory.Segment, _ chain: inout SegmentChain, _ report: VerificationReport
    ) throws {
        guard let moved = try directory.segments().first(where: { $0.number == segment.number }) else {
            return chain.add(unreadable: segment.number)
        }
        chain.add(try verify(moved, report), report)
    }

    private func verify(
        _ segment: SpoolDirectory.Segment, _ report: VerificationReport
    ) throws -> SegmentChain.CheckedSegment {
        let reader = try SegmentFile(segment).open()
        var header: SegmentHeader?
        var sequence = 0
        var records = 0
        var isDamaged = false
        var hasDamage = false
        var isSealed = false
        reconciliation?.begin(segment.number, created: "", rules: .standard)
        report.summary.segments += 1
        while let event = try reader.next() {
            switch event {
            case .header(let found):
                header = found
                reconciliation?.begin(
                    segment.number, created: found.created, rules: try found.readingRules(of: segment.path))
                for incompatibility in incompatibilities(to: found, segment) {
                    report.problem(ofFile: segment.path, incompatibility)
                }
            case .record(let record):
                records += 1
                if isSealed {
                    report.problem(segment.path, record.range, "record \(record.sequence) is behind the footer")
                }
                if record.sequence != sequence + 1, !isDamaged {
                    report.problem(
                        segment.path, record.range,
                        "record \(record.sequence) follows record \(sequence); those between are missing")
                }
                sequence = record.sequence
                isDamaged = false
                report.summary.records += 1
                try reconciliation?.add(record, report)
            case .damage(let damage):
                // The records in the damaged range are missing. The damage report covers them.
                isDamaged = true
                hasDamage = true
                report.damage(segment.path, damage)
            case .footer(let footer):
                isSealed = true
                if footer.segment != segment.number {
                    report.problem(ofFile: segment.path, "the footer belongs to segment \(footer.segment)")
                }
                if footer.records != records {
                    report.problem(
                        ofFile: segment.path,
                        "the footer counts \(footer.records.counted("record")), but there are \(records)")
                }
            case .tornTail(let range):
                report.note(
                    "\(segment.path) bytes \(range.lowerBound) to \(range.upperBound): an interrupted write, "
                        + "or one in progress; never acknowledged")
            }
        }
        if header == nil, reader.end > 0 { report.note("\(segment.path): its first line is not a header") }
        if let reconciliation, reconciliation.isShorterThanLoaded(reader.end) {
            report.problem(
                ofFile: segment.path, "has \(reader.end) bytes, but more were loaded from it; is it an older copy?")
        }
        return SegmentChain.CheckedSegment(
            number: segment.number, path: segment.path, header: header, records: records, hasDamage: hasDamage)
    }

    private func incompatibilities(to header: SegmentHeader, _ segment: SpoolDirectory.Segment) -> [String] {
        var incompatibilities = header.incompatibilities(in: directory, as: segment.number)
        if let predecessor = header.predecessor?.segment, predecessor >= header.segment {
            incompatibilities.append(
                "its header names segment \(SpoolPosition.digits(predecessor)) as the one before it")
        }
        return incompatibilities
    }
}
