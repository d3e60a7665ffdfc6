/// What this is a version of: both programs, and the Debian package that brings them.
public enum Version {
    /// The one place where it stands; the package's build reads this line.
    public static let text = "0.1.0"
}
