/// Which devices to list.
struct DeviceQuery: Sendable, Hashable {
    /// Devices on a page, at most.
    static let maximumLimit = 200
    /// With more on a page, hourly powers are left out: they would be too many keys for one question.
    static let maximumWithHours = 50

    /// Devices on a page.
    var limit = 50
    /// Only names behind this one, in the order of their bytes; empty for the first page.
    var after = ""
    /// Only names with this in them, be it upper or lower case as far as ASCII goes; empty for all.
    var search = ""
    /// Only silent devices, or only those that are not.
    var isSilent: Bool?
}
