import Readings
import Spool

/// Reads every segment of a spool and says what is wrong with it: checksums, headers, sequence, footers, gaps.
struct Verification {
    let directory: SpoolDirectory
    /// Compares the readings with the database, nil to look at the files alone.
    var reconciliation: Reconciliation?

    func run(_ report: VerificationReport) throws {
        var predecessor: Int?
        for segment in try directory.segments() {
            if let predecessor, segment.number > predecessor + 1 {
                let missing = (predecessor + 1)..<segment.number
                let first = SpoolPosition.digits(missing.lowerBound)
                let name = missing.count == 1 ? first : "\(first) to \(SpoolPosition.digits(missing.upperBound - 1))"
                report.note("segment \(name) missing: never written or removed")
            }
            predecessor = segment.number
            do {
                try verify(segment, report)
            } catch SpoolError.disk(_, _, .noSuchFileOrDirectory) where !FileLength.exists(segment.path) {
                // It was moved to loaded/ since it was listed, or the receiver took an empty one back.
                try verifyMoved(segment, report)
            } catch let error as SpoolError {
                report.problem(ofFile: segment.path, error.description)
            }
        }
        try reconciliation?.finish(report)
    }

    private func verifyMoved(_ segment: SpoolDirectory.Segment, _ report: VerificationReport) throws {
        guard let moved = try directory.segments().first(where: { $0.number == segment.number }) else { return }
        try verify(moved, report)
    }

    private func verify(_ segment: SpoolDirectory.Segment, _ report: VerificationReport) throws {
        let reader = try SegmentFile(segment).open()
        var header: SegmentHeader?
        var sequence = 0
        var records = 0
        var isDamaged = false
        reconciliation?.begin(segment.number, created: "")
        report.summary.segments += 1
        while let event = try reader.next() {
            switch event {
            case .header(let found):
                header = found
                reconciliation?.begin(segment.number, created: found.created)
                for objection in objections(to: found, segment) { report.problem(ofFile: segment.path, objection) }
            case .record(let record):
                records += 1
                if record.sequence != sequence + 1, !isDamaged {
                    report.problem(
                        segment.path, record.range,
                        "record \(record.sequence) follows record \(sequence); what lies between is missing")
                }
                sequence = record.sequence
                isDamaged = false
                report.summary.records += 1
                try reconciliation?.take(record, report)
            case .damage(let damage):
                // The records in it are missing, which is said with this once.
                isDamaged = true
                report.damage(segment.path, damage)
            case .footer(let footer):
                if footer.segment != segment.number {
                    report.problem(ofFile: segment.path, "the footer is that of segment \(footer.segment)")
                }
                if footer.records != records {
                    report.problem(
                        ofFile: segment.path, "the footer counts \(footer.records) records, there are \(records)")
                }
            case .tornTail(let range):
                report.note(
                    "\(segment.path) bytes \(range.lowerBound) to \(range.upperBound): the rest of an interrupted write, "
                        + "or one that goes on; never acknowledged")
            }
        }
        if header == nil, reader.end > 0 { report.note("\(segment.path): its first line is no header") }
    }

    private func objections(to header: SegmentHeader, _ segment: SpoolDirectory.Segment) -> [String] {
        var objections: [String] = []
        if header.spool != directory.identity {
            objections.append("segment of another spool (\(header.spool), this one is \(directory.identity))")
        }
        if header.segment != segment.number {
            objections.append("its header says segment \(SpoolPosition.digits(header.segment)); was the file renamed?")
        }
        if let predecessor = header.predecessor, predecessor >= header.segment {
            objections.append("its header names segment \(SpoolPosition.digits(predecessor)) as the one before it")
        }
        return objections
    }
}
