/// The devices on the status page: the silent ones first, then the reporting ones.
struct DeviceList: Sendable {
    /// The maximum number of devices on a page.
    static let limit = 50

    let devices: [DeviceSummary]
    /// The number of devices that the spool knows, and of the silent ones among them.
    let total: Int
    let silent: Int
    let silentAfterSeconds: Int
    let database: DatabaseState
    let query: Query
    /// Where the next page begins; nil when this is the last one.
    let next: Cursor?

    /// A position in the list: behind a device or at the beginning, among the silent or the reporting devices.
    struct Cursor: Sendable, Equatable {
        let isSilent: Bool
        let after: String
    }

    /// The requested part of the list: `?search=…&silent=true&after=…`.
    struct Query: Sendable, Equatable {
        var search = ""
        var place = Cursor(isSilent: true, after: "")
    }
}

extension DeviceList.Query {
    /// Reads the query; throws 422.
    init(_ parameters: QueryParameters) throws(Rejection) {
        let query = try DeviceQuery(parameters)
        search = query.search
        place = DeviceList.Cursor(isSilent: query.isSilent ?? true, after: query.after)
    }

    /// The address of this part of the list.
    var link: String {
        """
        /?search=\(search.percentEncoded)&silent=\(place.isSilent)&after=\(place.after.percentEncoded)#devices
        """
    }
}

extension DeviceList {
    /// Queries one page, or the end of the silent devices and the beginning of the reporting ones.
    init(_ query: Query, from ask: (DeviceQuery) async throws(Rejection) -> DevicePage) async throws(Rejection) {
        var wanted = DeviceQuery(limit: Self.limit, after: query.place.after, search: query.search)
        wanted.isSilent = query.place.isSilent
        var page = try await ask(wanted)
        var devices = page.devices
        var isAway = page.database == .away
        var next = page.next.map { Cursor(isSilent: query.place.isSilent, after: "\($0)") }
        if query.place.isSilent, next == nil {
            let room = Self.limit - devices.count
            // At least one, to find out whether there are any.
            page = try await ask(DeviceQuery(limit: max(1, room), search: query.search, isSilent: false))
            isAway = isAway || page.database == .away
            if room > 0 {
                devices += page.devices
                next = page.next.map { Cursor(isSilent: false, after: "\($0)") }
            } else if !page.devices.isEmpty {
                next = Cursor(isSilent: false, after: "")
            }
        }
        self.init(
            devices: devices, total: page.total, silent: page.silent, silentAfterSeconds: page.silentAfterSeconds,
            database: isAway ? .away : .ok, query: query, next: next)
    }
}
