internal import Glibc

/// The descriptors 0, 1 and 2.
public enum StandardStreams {
    /// Opens /dev/null in the place of those that are closed; called before anything else is opened. Otherwise the next
    /// file would get such a number, and what is meant for standard error would be written into it.
    ///
    /// Has a write(2) to a reader that went away fail, too, rather than end the process.
    public static func secure() {
        signal(SIGPIPE, SIG_IGN)
        while true {
            // The lowest free number (open(2)).
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
