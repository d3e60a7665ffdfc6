// Devices: `/api/devices`: when each device was last seen, and a device's day.
// Begin here.
// Uses Commit, HTTP, Ledger, Statistics, Postgres, Readings, Text, Time.

import Commit
import Ledger
import Readings
import Time

/// Device data: from the ledger, exact while the database is down, and powers from the database.
///
/// An actor on its own queue, since it searches the names of all devices.
actor DeviceSource {
    private let executor = BlockingExecutor(label: "devices")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Limit of concurrent device queries, because they wait for each other.
    private let queryLimit = ConcurrencyLimiter(limitRequests: 16, limitBytes: .max)
    private let groupCommit: GroupCommit
    private let powers: PowerSource
    private let silentAfterSeconds: Int
    /// The wall clock.
    private let now: @Sendable () -> Timestamp
    private let snapshots: DeviceSnapshots

    init(
        groupCommit: GroupCommit, snapshots: DeviceSnapshots, powers: PowerSource, silentAfterSeconds: Int,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.groupCommit = groupCommit
        self.snapshots = snapshots
        self.powers = powers
        self.silentAfterSeconds = silentAfterSeconds
        self.now = now
    }

    /// The number of readings in each minute of the last 24 hours.
    nonisolated func history() async throws(Rejection) -> ReadingHistory {
        let minutes = lastDay
        return ReadingHistory(minutes: minutes, counts: try await ask { $0.counts.counts(of: minutes) })
    }

    /// A page of the list of devices. Devices, their last minutes and silence are those of one moment, see
    /// `DeviceSnapshots`; channels are as they are now.
    nonisolated func page(_ query: DeviceQuery) async throws(Rejection) -> DevicePage {
        guard queryLimit.enter() else { throw Rejection.tooManyQueries }
        defer { queryLimit.leave(0) }
        return try await list(query)
    }

    /// A device's day, or its last 24 hours; nil when neither the spool nor the database has the device in that time.
    ///
    nonisolated func day(of device: DeviceID, _ day: CalendarDay? = nil) async throws(Rejection) -> DeviceDay? {
        guard queryLimit.enter() else { throw Rejection.tooManyQueries }
        defer { queryLimit.leave(0) }
        return try await readDay(of: device, day)
    }

    /// How many devices are silent, and how many are heard and give no reading.
    nonisolated func counts() async throws(Rejection) -> DeviceCounts { try await snapshots.current().counts }

    private func list(_ query: DeviceQuery) async throws(Rejection) -> DevicePage {
        let snapshot = try await snapshots.current()
        let minutes = lastDay
        let matches = snapshot.find(query)
        let known = Dictionary(
            try await copy(of: matches.devices.map(\.id), minutes).map { ($0.device, $0) },
            // A device that was evicted and came back while a snapshot was taken is in it twice.
            uniquingKeysWith: { first, _ in first })
        let isWithHours = known.count <= DeviceQuery.maximumWithHours
        let found = await powers.powers(
            of: matches.devices.compactMap { known[$0.id] }.flatMap { device in
                device.channels.flatMap { device.keys(of: $0, in: minutes, isWithHours: isWithHours) }
            }, for: .list(matches.devices.map(\.id)))
        return DevicePage(
            devices: matches.devices.compactMap { device in
                known[device.id].map { summary(of: device, $0, minutes, found, isWithHours: isWithHours) }
            },
            next: matches.isMore ? matches.devices.last?.id : nil, total: snapshot.count,
            silent: snapshot.counts.silent, withoutReadings: snapshot.counts.withoutReadings,
            withoutMeter: snapshot.counts.withoutMeter, matching: matches.matching,
            minutes: minutes,
            silentAfterSeconds: silentAfterSeconds,
            database: found == nil ? .away : .ok)
    }

    private func readDay(of device: DeviceID, _ day: CalendarDay?) async throws(Rejection) -> DeviceDay? {
        let minutes = day.map { $0.number * .minutesPerDay..<($0.number + 1) * .minutesPerDay } ?? lastDay
        let known = try await copy(of: [device], minutes).first
        // The database may have readings that the spool has evicted, or that another receiver accepted.
        let found = await powers.powers(
            of: (0..<4).flatMap { channel in
                minutes.map { ReadingKey(device: device, channel: channel, minute: $0) }
            }, for: .day(device, day))
        let channels = (0..<4).compactMap { channel -> DeviceDay.Channel? in
            let spooled = Set(known?.minutes(of: channel, in: minutes) ?? [])
            let points = minutes.compactMap { minute -> DeviceDay.MinuteReading? in
                let power = found?[ReadingKey(device: device, channel: channel, minute: minute)]
                return power != nil || spooled.contains(minute)
                    ? DeviceDay.MinuteReading(minute: minute, power: power) : nil
            }
            return points.isEmpty ? nil : DeviceDay.Channel(number: channel, points: points)
        }
        guard known != nil || !channels.isEmpty else { return nil }
        return DeviceDay(
            device: device, last: known?.last, lastMinute: known?.lastMinute,
            state: known.map { silence.state($0.last, lastMinute: $0.lastMinute) } ?? .silent,
            minutes: minutes, channels: channels, database: found == nil ? .away : .ok)
    }

    private func summary(
        of device: DeviceSnapshot.Device, _ known: DeviceMinutes, _ minutes: Range<Int64>,
        _ found: [ReadingKey: Double]?, isWithHours: Bool
    ) -> DeviceSummary {
        var activity = [Int](repeating: 0, count: 24)
        let channels = known.channels.map { channel in
            for minute in known.minutes(of: channel, in: minutes) {
                activity[Int(minute - minutes.lowerBound) / 60] += 1
            }
            func power(_ minute: Int64) -> Double? {
                found?[ReadingKey(device: device.id, channel: channel, minute: minute)]
            }
            let newest = known.keys(of: channel, in: minutes, isWithHours: isWithHours).map(\.minute).sorted(by: >)
            return DeviceSummary.Channel(
                number: channel, lastMinute: known.lastMinute(of: channel) ?? 0,
                power: newest.lazy.compactMap { minute in power(minute).map { MinutePower(minute: minute, watts: $0) } }
                    .first,
                hourlyPower: isWithHours ? known.hours(of: channel, in: minutes).map { $0.flatMap(power) } : [])
        }
        return DeviceSummary(
            device: device.id, last: device.last, lastMinute: device.lastMinute, state: device.state,
            channels: channels, activity: activity)
    }

    /// The last 1440 minutes, including the present one.
    private nonisolated var lastDay: Range<Int64> {
        let minute = now().minute
        return minute + 1 - .minutesPerDay..<minute + 1
    }

    private nonisolated var silence: SilenceRule { SilenceRule(afterSeconds: silentAfterSeconds, now: now()) }

    private func copy(of devices: [DeviceID], _ minutes: Range<Int64>) async throws(Rejection) -> [DeviceMinutes] {
        let days = minutes.lowerBound / .minutesPerDay...(minutes.upperBound - 1) / .minutesPerDay
        return try await ask { $0.minutes(of: devices, on: days) }
    }

    private nonisolated func ask<Value: Sendable>(
        _ question: @escaping @Sendable (MinuteLedger) -> Value
    ) async throws(Rejection) -> Value {
        guard let answer = await groupCommit.query(question) else { throw Rejection.ledgerTimeout }
        return answer
    }
}
