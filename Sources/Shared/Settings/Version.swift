import CVersion

/// The version of both programs, and of the Debian package that brings them.
public enum Version {
    /// `0.1.0`, as Package.swift has it.
    public static let text = String(cString: shelly_version())
    /// The commit that the programs are built from, 12 hex digits, with a `+` when files differed from it; empty when
    /// they were not built in a git checkout.
    public static let commit = String(cString: shelly_commit())
    /// What `--version` prints: `0.1.0 (298dce4a1b2c)`.
    public static let line = commit.isEmpty ? text : "\(text) (\(commit))"
}
