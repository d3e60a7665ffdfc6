import Postgres
import Readings
import Time

/// Finds out whose fault it is that the table refuses a row: the row's own, if the table takes another row, else perhaps
/// the table's (invariant 13). No row that is tried stays.
///
/// Most faults of a table concern all times, all times from some time on, or a partition. So the other rows have the time
/// of the refused one. If that time is the row's fault, only a row that was received later can show it.
struct RowControl {
    let rows: RowBuffer
    /// Index of the refused row in `rows`.
    let refused: Int32
    let table: ReadingTable
    let connection: Connection
    /// Returns readings that were received after `rows`.
    let laterReadings: () throws -> [ControlReading]

    /// Later times, Unix seconds, are of a clock that was set ahead.
    private static func latest() -> Int64 { Timestamp.now.unixMilliseconds / 1000 + 300 }

    /// Devices of which a reading is tried.
    static let maximumDevices = 1000

    private var refusedRow: RowBuffer.Row { rows.rows[Int(refused)] }
    /// Not exactly the refused row's second, at which the other device may have a row, but in the same minute.
    private var time: Int64 { refusedRow.timestamp ^ 1 }

    /// Tries, one after another: the table's newest row, the refused row without its values, a device with a plain name,
    /// the last reading of each device among the rows, and the later readings.
    func isAnotherRowTaken() throws -> Bool {
        if try isNewestTaken() { return true }
        let plain = RowBuffer()
        for device in try [device(of: refusedRow), DeviceID("a")] {
            let reading = Reading(
                message: 0, device: 0, channel: Int(refusedRow.channel), timestamp: time, power: 0, voltage: nil,
                current: nil)
            append(reading, of: device, to: plain)
        }
        if try isOneTaken(of: plain) { return true }
        let (own, received) = try lastOfEachDevice()
        let others = RowBuffer()
        for control in own { append(moved(control.reading), of: control.device, to: others) }
        for control in received where isEvidence(control.reading) {
            append(control.reading, of: control.device, to: others)
        }
        if try isOneTaken(of: others) { return true }
        let later = RowBuffer()
        for control in try laterReadings().prefix(Self.maximumDevices) {
            append(moved(control.reading), of: control.device, to: later)
            if isEvidence(control.reading) { append(control.reading, of: control.device, to: later) }
        }
        return try isOneTaken(of: later)
    }

    /// The last reading of each device among the rows, and those of them that were received after the refused row.
    private func lastOfEachDevice() throws -> (all: [ControlReading], received: [ControlReading]) {
        var (all, received): ([ControlReading], [ControlReading]) = ([], [])
        var seen: Set<DeviceID> = []
        for index in rows.rows.indices.reversed() where seen.count < Self.maximumDevices {
            let row = rows.rows[index]
            let device = try device(of: row)
            guard seen.insert(device).inserted else { continue }
            let reading = Reading(
                message: 0, device: 0, channel: Int(row.channel), timestamp: row.timestamp, power: row.power,
                voltage: row.voltage, current: row.current)
            all.append(ControlReading(device: device, reading: reading))
            if index > refused { received.append(all[all.count - 1]) }
        }
        return (all, received)
    }

    private func device(of row: RowBuffer.Row) throws -> DeviceID {
        try DeviceID(rows.withDevice(of: row) { String(decoding: $0, as: UTF8.self) })
    }

    private func moved(_ reading: Reading) -> Reading {
        Reading(
            message: 0, device: 0, channel: reading.channel, timestamp: time, power: reading.power,
            voltage: reading.voltage, current: reading.current)
    }

    /// Whether the table can take the reading, with its own time, only if the fault is the refused row's.
    ///
    /// Its time must be in the refused row's partition, if the table has any. And it must be later than the refused one:
    /// a table that refuses all times from some time on takes earlier ones. Only if the refused time is ahead of the
    /// clock, an earlier one shows as much.
    private func isEvidence(_ reading: Reading) -> Bool {
        guard reading.timestamp > refusedRow.timestamp || refusedRow.timestamp > Self.latest() else { return false }
        guard let partition = table.partition else { return true }
        return partition.minutes?.contains(reading.minute) ?? false
    }

    /// The key is that of the first minute of 1970, which hardly a row has.
    private func append(_ reading: Reading, of device: DeviceID, to buffer: RowBuffer) {
        buffer.append(reading, of: device, record: 0, keyMinute: 0)
    }

    /// A table that takes a later time than the refused one does not refuse all from some time on. In another partition
    /// that would say nothing.
    private func isNewestTaken() throws -> Bool {
        let time = table.partition == nil ? #"greatest("timestamp", to_timestamp($1))"# : "to_timestamp($1)"
        let newest = """
            INSERT INTO \(table.name.quoted) \(ReadingTable.columns)
            SELECT device_id, channel, power, voltage, "current", \(time), regexp_replace(idempotency_key, '[0-9]+$', '0')
            FROM \(table.name.quoted) WHERE idempotency_key IS NOT NULL ORDER BY "timestamp" DESC LIMIT 1
            """
        return try withinSavepoint { () throws(PostgresError) in
            try connection.execute(newest, [.integer(self.time)]).affected > 0
        } ?? false
    }

    private func isOneTaken(of buffer: RowBuffer) throws -> Bool {
        guard !buffer.isEmpty else { return false }
        let isTaken = try withinSavepoint { () throws(PostgresError) in
            let trial = try RowTrial(buffer.rows, of: buffer, into: table, on: connection, endsWithFirst: true)
            for failed in trial.failedRows where !failed.error.isOfRowOrTable { throw failed.error }
            return trial.inserted > 0
        }
        if let isTaken { return isTaken }
        // Without PL/pgSQL, or with a name that the database's encoding lacks.
        for index in buffer.rows.indices {
            let isTaken = try withinSavepoint { () throws(PostgresError) in
                try connection.execute(table.statement(isRace: false), buffer.parameters([Int32(index)])).affected > 0
            }
            if isTaken == true { return true }
        }
        return false
    }

    /// Runs the body and takes back its changes. Returns nil after an error of the row or the table.
    private func withinSavepoint(_ body: () throws(PostgresError) -> Bool) throws -> Bool? {
        _ = try connection.execute("SAVEPOINT control")
        var isTaken: Bool?
        do throws(PostgresError) {
            isTaken = try body()
        } catch {
            guard error.isOfRowOrTable else { throw error }
        }
        _ = try connection.execute("ROLLBACK TO SAVEPOINT control; RELEASE SAVEPOINT control")
        return isTaken
    }
}

extension PostgresError {
    fileprivate var isOfRowOrTable: Bool { faultKind == .row || faultKind == .table }
}
