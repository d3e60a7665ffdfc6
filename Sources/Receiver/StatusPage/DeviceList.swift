/// The devices on the status page: the silent ones first, then those without readings, then the reporting ones.
struct DeviceList: Sendable {
    /// The maximum number of devices on a page.
    static let limit = 50

    let devices: [DeviceSummary]
    /// The parts of the list. Devices without a meter are among those without readings.
    fileprivate static let states: [DeviceState] = [.silent, .withoutReadings, .reporting]

    /// The number of devices that the spool knows, among them of the silent ones and of those without readings, and among
    /// these of those without a meter.
    let total: Int
    let silent: Int
    let withoutReadings: Int
    let withoutMeter: Int
    let silentAfterSeconds: Int
    let database: DatabaseState
    let query: Query
    /// Where the next page begins; nil when this is the last one.
    let next: Cursor?

    /// A position in the list: behind a device or at the beginning, among the devices of a state.
    struct Cursor: Sendable, Equatable {
        let state: DeviceState
        let after: String
    }

    /// The requested part of the list: `?search=…&silent=true&after=…`.
    struct Query: Sendable, Equatable {
        var search = ""
        var place = Cursor(state: .silent, after: "")
    }
}

extension DeviceList.Query {
    /// Reads the query; throws 422.
    init(_ parameters: QueryParameters) throws(Rejection) {
        let query = try DeviceQuery(parameters)
        search = query.search
        let state = DeviceList.states.first { query.includes($0) } ?? .silent
        place = DeviceList.Cursor(state: state, after: query.after)
    }

    /// The address of this part of the list.
    var link: String {
        """
        /?search=\(search.percentEncoded)&silent=\(place.state == .silent)\
        &without_readings=\(place.state == .withoutReadings)&after=\(place.after.percentEncoded)#devices
        """
    }
}

extension DeviceList {
    /// Queries one page: from the requested place on, and the beginning of the devices of the next states.
    init(_ query: Query, from ask: (DeviceQuery) async throws(Rejection) -> DevicePage) async throws(Rejection) {
        var devices: [DeviceSummary] = []
        var isAway = false
        var next: Cursor?
        var counts = (total: 0, silent: 0, withoutReadings: 0, withoutMeter: 0, silentAfterSeconds: 0)
        for state in Self.states.drop(while: { $0 != query.place.state }) where next == nil {
            let room = Self.limit - devices.count
            // At least one, to find out whether there are any.
            let wanted = DeviceQuery(
                limit: max(1, room), after: state == query.place.state ? query.place.after : "", search: query.search,
                isSilent: state == .silent, isWithoutReadings: state == .withoutReadings)
            let page = try await ask(wanted)
            isAway = isAway || page.database == .away
            counts = (page.total, page.silent, page.withoutReadings, page.withoutMeter, page.silentAfterSeconds)
            if room > 0 {
                devices += page.devices
                next = page.next.map { Cursor(state: state, after: "\($0)") }
            } else if !page.devices.isEmpty {
                next = Cursor(state: state, after: "")
            }
        }
        self.init(
            devices: devices, total: counts.total, silent: counts.silent, withoutReadings: counts.withoutReadings,
            withoutMeter: counts.withoutMeter, silentAfterSeconds: counts.silentAfterSeconds,
            database: isAway ? .away : .ok, query: query, next: next)
    }
}
