// StatusPage: the pages at `/` and `/devices/{id}`.
// Begin here.
// Uses Commit, Devices, HTML, HTTP, Metrics, Statistics, Postgres, Readings, Text, Time.

import Commit
import HTTPTypes
import Hummingbird
import NIOCore
import Readings
import Time

/// `GET /` and `GET /devices/{id}`: gathers the data of a page.
///
/// Each part has a timeout that suits a person at a browser. The page is served even if some parts do not answer.
struct PageHandler: Sendable {
    private static let timeout = Duration.milliseconds(1900)
    private static let devicePath = "/devices/"

    private let devices: DeviceSource
    private let metrics: Metrics
    private let readiness: SingleFlight<StatusPage.ReadinessState>
    private let database: SingleFlight<StatusPage.DatabaseStatus>
    private let spool: SingleFlight<SpoolStatistics>
    private let backlog: BacklogWatch
    private let risk: String?
    private let rules: ReadingRules
    private let databaseSleepSeconds: Int64
    /// The wall clock.
    private let now: @Sendable () -> Timestamp
    private let startedAt: Timestamp

    init(
        devices: DeviceSource, metrics: Metrics, readiness: Readiness, queueStatistics: QueueStatisticsSource,
        spoolStatistics: SpoolStatisticsSource, backlog: BacklogWatch, spoolState: SpoolState,
        rules: ReadingRules, databaseSleepSeconds: Int64, now: @escaping @Sendable () -> Timestamp
    ) {
        self.rules = rules
        self.databaseSleepSeconds = databaseSleepSeconds
        self.devices = devices
        self.metrics = metrics
        self.backlog = backlog
        risk = readiness.risk
        self.readiness = SingleFlight(timeout: Self.timeout) {
            do throws(Rejection) {
                try await readiness.check()
                return .ready
            } catch {
                return StatusPage.ReadinessState(error, failure: spoolState.failure)
            }
        }
        database = SingleFlight(timeout: Self.timeout) { StatusPage.DatabaseStatus(await queueStatistics.outcome()) }
        spool = SingleFlight(timeout: Self.timeout) { try? await spoolStatistics.statistics() }
        self.now = now
        startedAt = now()
    }

    /// Whether the path is that of a page.
    static func isPath(_ path: String) -> Bool { path == "/" || path.hasPrefix(devicePath) }

    /// Answers a request for one of these paths; throws 422 for an invalid query.
    func respond(to request: Request) async throws(Rejection) -> Response {
        let parameters = try QueryParameters(request.uri.query)
        if request.uri.path == "/" { return .page(await overview(try DeviceList.Query(parameters)).html) }

        let date = try parameters.day("day")
        let encoded = request.uri.path.dropFirst(Self.devicePath.count)
        guard let name = encoded.isEmpty ? parameters["id"] : String(percentEncoded: encoded),
            let device = try? DeviceID(name), let day = try await devices.day(of: device, date)
        else { return .page(UnknownDevicePage(now: now()).html, status: .notFound) }
        return .page(DeviceDayPage(now: now(), day: day, date: date, rules: rules).html)
    }

    private func overview(_ query: DeviceList.Query) async -> StatusPage {
        async let readiness = readiness.value()
        async let database = database.value()
        async let spool = spool.value()
        async let history = try? devices.history()
        async let list = try? DeviceList(query) { (query) throws(Rejection) in try await devices.page(query) }
        let counted = metrics.snapshot()
        let held = await spool
        let now = now()
        let seen = backlog.history
        return StatusPage(
            now: now, startedAt: startedAt, readiness: await readiness ?? .silent,
            database: await database ?? .connecting, spool: held,
            backlog: held.map { seen.appending(.init($0, now: now)) } ?? seen, history: await history,
            devices: await list,
            batches: counted.recent.newestFirst,
            refusals: counted.refusals, untaken: counted.untakenDevices.entries, rules: rules, risk: risk,
            databaseSleepSeconds: databaseSleepSeconds)
    }
}

extension StatusPage.ReadinessState {
    fileprivate init(_ rejection: Rejection, failure: String?) {
        switch rejection.detail {
        // The text after a semicolon is for clients that send batches.
        case .sentence(let sentence): self = .refuses(String(sentence.prefix { $0 != ";" }), failure: failure)
        case .problems: self = .refuses("a batch is not valid", failure: failure)
        }
    }
}
