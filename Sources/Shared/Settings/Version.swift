import CVersion

/// The version of both programs and of their Debian package.
public enum Version {
    /// `0.2.0`, as defined in Package.swift.
    public static let text = String(cString: shelly_version())
    /// The commit that the programs were built from: 12 hex digits, with a `+` if files differed from it. It is empty
    /// if they were not built in a git checkout.
    public static let commit = String(cString: shelly_commit())
    /// The output of `--version`: `0.2.0 (0123456789ab)`.
    public static let line = commit.isEmpty ? text : "\(text) (\(commit))"
}
