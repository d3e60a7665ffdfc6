/// The devices on the status page: the silent ones first, then those that report.
struct DeviceList: Sendable {
    /// Devices on a page, at most.
    static let limit = 50

    let devices: [DeviceSummary]
    /// All that the spool knows, and those of them that are silent.
    let total: Int
    let silent: Int
    let silentAfterSeconds: Int
    let database: DatabaseState
    let query: Query
    /// Where the next page begins; nil when this is the last.
    let next: Place?

    /// Behind a device, or at the beginning, of the silent ones or of those that report.
    struct Place: Sendable, Equatable {
        let isSilent: Bool
        let after: String
    }

    /// What of the list is asked for: `?search=…&silent=true&after=…`.
    struct Query: Sendable, Equatable {
        var search = ""
        var place = Place(isSilent: true, after: "")
    }
}

extension DeviceList.Query {
    /// Throws 422.
    init(_ parameters: QueryParameters) throws(Rejection) {
        let query = try DeviceQuery(parameters)
        search = query.search
        place = DeviceList.Place(isSilent: query.isSilent ?? true, after: query.after)
    }

    /// The address of this part of the list.
    var link: String {
        """
        /?search=\(search.percentEncoded)&silent=\(place.isSilent)&after=\(place.after.percentEncoded)#devices
        """
    }
}

extension DeviceList {
    /// Asks for one page, or for the end of the silent ones and the beginning of the others.
    init(_ query: Query, from ask: (DeviceQuery) async throws(Rejection) -> DevicePage) async throws(Rejection) {
        var wanted = DeviceQuery(limit: Self.limit, after: query.place.after, search: query.search)
        wanted.isSilent = query.place.isSilent
        var page = try await ask(wanted)
        var devices = page.devices
        var isAway = page.database == .away
        var next = page.next.map { Place(isSilent: query.place.isSilent, after: "\($0)") }
        if query.place.isSilent, next == nil {
            let room = Self.limit - devices.count
            // At least one, to know whether there is any.
            page = try await ask(DeviceQuery(limit: max(1, room), search: query.search, isSilent: false))
            isAway = isAway || page.database == .away
            if room > 0 {
                devices += page.devices
                next = page.next.map { Place(isSilent: false, after: "\($0)") }
            } else if !page.devices.isEmpty {
                next = Place(isSilent: false, after: "")
            }
        }
        self.init(
            devices: devices, total: page.total, silent: page.silent, silentAfterSeconds: page.silentAfterSeconds,
            database: isAway ? .away : .ok, query: query, next: next)
    }
}
