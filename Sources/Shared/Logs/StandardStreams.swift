internal import Glibc

/// The file descriptors 0, 1 and 2.
public enum StandardStreams {
    /// Opens /dev/null for those that are closed. It must be called before any file is opened. Otherwise the next file
    /// would get such a number, and output for standard error would be written into it.
    ///
    /// It also ignores SIGPIPE, so that a write(2) to a closed pipe fails and does not end the process.
    public static func secure() {
        signal(SIGPIPE, SIG_IGN)
        while true {
            // open(2) returns the lowest free number.
            let descriptor = open("/dev/null", O_RDWR)
            guard descriptor > STDERR_FILENO else {
                if descriptor < 0 { return }
                continue
            }
            close(descriptor)
            return
        }
    }
}
