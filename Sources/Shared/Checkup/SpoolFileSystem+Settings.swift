public import Settings
public import SystemPackage

extension SpoolFileSystem {
    /// The risk of a spool at this path and its remedy, in a sentence; nil if there is none or the settings accept it.
    ///
    /// Throws where the receiver must not start, unless `SPOOL_FILE_SYSTEM` is `any`: on a file system in memory, or on one
    /// whose fsync does nothing.
    public static func admit(_ path: FilePath, _ settings: Settings) throws(SettingsError) -> String? {
        // A path that cannot be examined fails with a better message when the spool is opened.
        guard !settings.acceptsLosses, let kind = try? SpoolFileSystem(at: path), let risk = kind.risk else {
            return nil
        }
        if kind.isRefused { throw SettingsError("spool \(path): \(risk); \(kind.remedy)") }
        return "\(risk); \(kind.remedy)"
    }
}

extension Settings {
    /// Whether the spool may lie where acknowledged readings can be lost.
    public var acceptsLosses: Bool { required(.spoolFileSystem) == "any" }
}
