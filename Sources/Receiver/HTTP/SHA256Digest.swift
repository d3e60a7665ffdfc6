import CLibcrypto

/// A SHA-256 digest (FIPS 180-4), 32 bytes, from OpenSSL's libcrypto, which libpq needs anyway.
struct SHA256Digest: Hashable, Sendable {
    private static let count = 32

    let bytes: [UInt8]

    init(of text: String) {
        var text = text
        bytes = text.withUTF8 { utf8 in
            [UInt8](unsafeUninitializedCapacity: Self.count) { digest, count in
                // EVP_Digest(3) returns 1. SHA-256 accepts every input, so only a lack of memory could fail.
                let status = EVP_Digest(utf8.baseAddress, utf8.count, digest.baseAddress, nil, Self.algorithm, nil)
                precondition(status == 1, "EVP_Digest returned \(status)")
                count = Self.count
            }
        }
    }

    /// Compares all bytes with CRYPTO_memcmp(3), so that the time taken does not reveal where two digests differ.
    static func == (left: Self, right: Self) -> Bool { CRYPTO_memcmp(left.bytes, right.bytes, count) == 0 }

    /// Fetched once, since a lookup by name takes longer than the digest of a key.
    ///
    /// Unsafe because an `EVP_MD` is a pointer in Swift. OpenSSL allows its use from many threads (openssl-threads(7)).
    nonisolated(unsafe) private static let algorithm: OpaquePointer = {
        guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil) else {
            preconditionFailure("OpenSSL's libcrypto has no SHA-256")
        }
        return algorithm
    }()
}
