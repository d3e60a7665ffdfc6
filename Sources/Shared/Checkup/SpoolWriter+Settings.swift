public import Settings
public import Spool

extension SpoolWriter.Limits {
    /// The limits that the settings give.
    public init(_ settings: Settings) {
        self.init()
        segmentBytes = settings.integer(.segmentBytes)
        segmentAge = settings.duration(.segmentSeconds)
        reserveBytes = settings.integer(.reserveBytes)
        spoolBytes = settings.integer(.spoolBytes) == 0 ? nil : settings.integer(.spoolBytes)
    }
}
