internal import Glibc

/// A record to append to the spool.
public struct NewRecord: Sendable {
    /// Time of receipt, Unix milliseconds.
    public let receivedAt: Int64
    /// The body without line breaks, see `removeLineBreaks`.
    public let body: ArraySlice<UInt8>

    /// Upper bound for the bytes of its line and of a new segment's header.
    public var bytes: Int { body.count + 512 }

    public init(receivedAt: Int64, body: ArraySlice<UInt8>) {
        self.receivedAt = receivedAt
        self.body = body
    }

    /// Replaces line breaks by spaces. In valid JSON they occur only between tokens, so the meaning stays the same.
    public static func removeLineBreaks(in body: inout ArraySlice<UInt8>) {
        body.withUnsafeMutableBytes { bytes in
            // memchr(3) compares many bytes at a time, and there is nearly always no match.
            for lineBreak: CInt in [0x0A, 0x0D] {
                var rest = bytes[...]
                while let start = UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress,
                    let found = memchr(start, lineBreak, rest.count)
                {
                    found.storeBytes(of: 0x20, as: UInt8.self)
                    rest = rest.dropFirst(found - start + 1)
                }
            }
        }
    }
}
