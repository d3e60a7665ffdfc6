import Readings

/// Device data: from the ledger, exact while the database is down, and powers from the database.
///
/// An actor on its own queue, since it sorts and searches the names of all devices.
actor DeviceSource {
    private static let minutesPerDay = MinuteLedger.minutesPerDay

    private let executor = BlockingExecutor(label: "devices")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Limit of concurrent device queries, because they wait for each other.
    private let lookers = InFlight(limitRequests: 16, limitBytes: .max)
    private let groupCommit: GroupCommit
    private let powers: PowerSource
    private let silentAfterSeconds: Int
    /// The wall clock, Unix milliseconds.
    private let now: @Sendable () -> Int64
    private var previous: DeviceCensus?
    private var census: (task: Task<DeviceCensus, any Error>, freshUntil: ContinuousClock.Instant)?

    init(
        groupCommit: GroupCommit, powers: PowerSource, silentAfterSeconds: Int, now: @escaping @Sendable () -> Int64
    ) {
        self.groupCommit = groupCommit
        self.powers = powers
        self.silentAfterSeconds = silentAfterSeconds
        self.now = now
    }

    /// The number of readings in each minute of the last 24 hours.
    nonisolated func history() async throws(Rejection) -> ReadingHistory {
        let minutes = lastDay
        return ReadingHistory(minutes: minutes, counts: try await ask { $0.counts.counts(of: minutes) })
    }

    /// A page of the list of devices. Devices and silence are at most a few seconds old.
    nonisolated func page(_ query: DeviceQuery) async throws(Rejection) -> DevicePage {
        guard lookers.enter() else { throw Rejection.busy }
        defer { lookers.leave(0) }
        return try await list(query)
    }

    /// A device's day, or its last 24 hours; nil when neither the spool nor the database has the device in that time.
    ///
    /// - Parameter day: days since 1970, UTC.
    nonisolated func day(of device: DeviceID, _ day: Int64? = nil) async throws(Rejection) -> DeviceDay? {
        guard lookers.enter() else { throw Rejection.busy }
        defer { lookers.leave(0) }
        return try await look(at: device, day)
    }

    private func list(_ query: DeviceQuery) async throws(Rejection) -> DevicePage {
        let census = try await currentCensus()
        let minutes = lastDay
        let silent = silentMinutes
        let finding = census.find(query) { silent.contains($0) }
        let known = try await copy(of: finding.devices, minutes)
        let isWithHours = known.count <= DeviceQuery.maximumWithHours
        let found = await powers.powers(
            of: known.flatMap { device in
                device.channels.flatMap { device.keys(of: $0, in: minutes, isWithHours: isWithHours) }
            })
        return DevicePage(
            devices: known.map { summary(of: $0, minutes, found, isWithHours: isWithHours) },
            next: finding.isMore ? finding.devices.last : nil, total: census.sightings.count, silent: finding.silent,
            matching: finding.matching, minutes: minutes, silentAfterSeconds: silentAfterSeconds,
            database: found == nil ? .away : .ok)
    }

    private func look(at device: DeviceID, _ day: Int64?) async throws(Rejection) -> DeviceDay? {
        let minutes = day.map { $0 * Self.minutesPerDay..<($0 + 1) * Self.minutesPerDay } ?? lastDay
        let known = try await copy(of: [device], minutes).first
        // The database may have readings that the spool has evicted, or that another receiver accepted.
        let found = await powers.powers(
            of: (0..<4).flatMap { channel in
                minutes.map { ReadingKey(device: device, channel: channel, minute: $0) }
            })
        let channels = (0..<4).compactMap { channel -> DeviceDay.Channel? in
            let spooled = Set(known?.minutes(of: channel, in: minutes) ?? [])
            let points = minutes.compactMap { minute -> DeviceDay.Point? in
                let power = found?[ReadingKey(device: device, channel: channel, minute: minute)]
                return power != nil || spooled.contains(minute) ? DeviceDay.Point(minute: minute, power: power) : nil
            }
            return points.isEmpty ? nil : DeviceDay.Channel(number: channel, points: points)
        }
        guard known != nil || !channels.isEmpty else { return nil }
        return DeviceDay(
            device: device, lastMinute: known?.lastMinute,
            isSilent: known?.lastMinute.map(silentMinutes.contains) ?? true,
            minutes: minutes, channels: channels, database: found == nil ? .away : .ok)
    }

    private func summary(
        of device: DeviceMinutes, _ minutes: Range<Int64>, _ found: [ReadingKey: Double]?, isWithHours: Bool
    ) -> DeviceSummary {
        var activity = [Int](repeating: 0, count: 24)
        let channels = device.channels.map { channel in
            for minute in device.minutes(of: channel, in: minutes) {
                activity[Int(minute - minutes.lowerBound) / 60] += 1
            }
            func power(_ minute: Int64) -> Double? {
                found?[ReadingKey(device: device.device, channel: channel, minute: minute)]
            }
            let newest = device.keys(of: channel, in: minutes, isWithHours: isWithHours).map(\.minute).sorted(by: >)
            return DeviceSummary.Channel(
                number: channel, lastMinute: device.lastMinute(of: channel) ?? 0,
                power: newest.lazy.compactMap { minute in power(minute).map { MinutePower(minute: minute, watts: $0) } }
                    .first,
                hourlyPower: isWithHours ? device.hours(of: channel, in: minutes).map { $0.flatMap(power) } : [])
        }
        let lastMinute = device.lastMinute ?? 0
        return DeviceSummary(
            device: device.device, lastMinute: lastMinute, isSilent: silentMinutes.contains(lastMinute),
            channels: channels,
            activity: activity)
    }

    /// The last 1440 minutes, including the present one.
    private nonisolated var lastDay: Range<Int64> {
        let minute = now() / 60_000
        return minute + 1 - Self.minutesPerDay..<minute + 1
    }

    /// A device is silent if its newest minute is in this range; a reading may be of the last second of its minute.
    private nonisolated var silentMinutes: PartialRangeUpTo<Int64> {
        ..<((now() / 1000 - Int64(silentAfterSeconds)) / 60)
    }

    private func copy(of devices: [DeviceID], _ minutes: Range<Int64>) async throws(Rejection) -> [DeviceMinutes] {
        let days = minutes.lowerBound / Self.minutesPerDay...(minutes.upperBound - 1) / Self.minutesPerDay
        return try await ask { $0.minutes(of: devices, on: days) }
    }

    private nonisolated func ask<Answer: Sendable>(
        _ question: @escaping @Sendable (MinuteLedger) -> Answer
    ) async throws(Rejection) -> Answer {
        guard let answer = await groupCommit.ask(question) else { throw Rejection.spoolSilent }
        return answer
    }

    /// The cached census, rebuilt on demand, one at a time; the longer the build takes, the longer it is cached.
    private func currentCensus() async throws(Rejection) -> DeviceCensus {
        if let census, .now < census.freshUntil { return try await Self.result(of: census.task) }
        let started = ContinuousClock.now
        let task = Task { try await takeCensus() }
        // No other call starts a census before this one has ended.
        census = (task, started + .seconds(60))
        do throws(Rejection) {
            let taken = try await Self.result(of: task)
            census?.freshUntil = .now + max(.seconds(2), started.duration(to: .now) * 10)
            return taken
        } catch {
            census = nil
            throw error
        }
    }

    private static func result(of task: Task<DeviceCensus, any Error>) async throws(Rejection) -> DeviceCensus {
        do {
            return try await task.value
        } catch {
            throw Rejection.spoolSilent
        }
    }

    private func takeCensus() async throws(Rejection) -> DeviceCensus {
        var sightings: [MinuteLedger.Sighting] = []
        var number: Int? = 0
        while let first = number {
            let (found, next) = try await ask { $0.sightings(from: first, for: .milliseconds(2)) }
            sightings += found
            number = next
        }
        let taken = DeviceCensus(sightings, after: previous)
        previous = taken
        return taken
    }
}
