import Readings

/// A query for a page of the list of devices.
struct DeviceQuery: Sendable, Hashable {
    /// The maximum number of devices on a page.
    static let maximumLimit = 200
    /// Pages with more devices omit hourly powers, which would be too many keys for one query.
    static let maximumWithHours = 50

    /// Devices on a page.
    var limit = 50
    /// Only names after this one, in the order of their bytes; empty for the first page.
    var after = ""
    /// Only names that contain this text, without regard to the case of ASCII letters; empty for all.
    var search = ""
    /// Only silent devices if true, only devices that are heard if false, all if nil.
    var isSilent: Bool?
    /// Only devices that are heard and give no reading if true, only the others if false, all if nil.
    var isWithoutReadings: Bool?

    func includes(_ state: DeviceState) -> Bool {
        (isSilent.map { $0 == (state == .silent) } ?? true)
            && (isWithoutReadings.map { $0 == state.isWithoutReadings } ?? true)
    }
}

extension DeviceQuery {
    /// Reads the query's `limit`, `after`, `search`, `silent` and `without_readings`; throws 422.
    init(_ parameters: QueryParameters) throws(Rejection) {
        limit = try parameters.integer("limit", in: 1...Self.maximumLimit) ?? limit
        after = try parameters.text("after", maximumBytes: DeviceID.maximumBytes) ?? ""
        search = try parameters.text("search", maximumBytes: DeviceID.maximumBytes) ?? ""
        isSilent = try parameters.bool("silent")
        isWithoutReadings = try parameters.bool("without_readings")
    }
}
