import NIOHTTP1

/// The `Host` of a request (RFC 9112, 3.2).
enum HostField {
    /// Whether the request has a `Host` as it must be: one, with a valid value; HTTP/1.0 may have none.
    static func isValid(in head: HTTPRequestHead) -> Bool {
        var count = 0
        for (name, value) in head.headers where isHost(name) {
            count += 1
            guard count == 1, isAuthority(Array(value.withoutOuterSpace.utf8)) else { return false }
        }
        return count == 1 || head.version == .http1_0
    }

    private static func isHost(_ name: String) -> Bool {
        name.utf8.count == 4 && name.utf8.elementsEqual("host".utf8) { $0 | 0x20 == $1 }
    }

    /// `uri-host [ ":" port ]` (RFC 3986, 3.2.2 and 3.2.3); an empty name is a name.
    private static func isAuthority(_ text: [UInt8]) -> Bool {
        var rest = text[...]
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let literal = rest[rest.index(after: rest.startIndex)..<end]
            guard !literal.isEmpty, literal.allSatisfy({ isNameByte($0) || $0 == UInt8(ascii: ":") }) else {
                return false
            }
            rest = rest[rest.index(after: end)...]
        } else {
            let name = rest.prefix { $0 != UInt8(ascii: ":") }
            guard name.allSatisfy(isNameByte) else { return false }
            rest = rest[name.endIndex...]
        }
        return rest.isEmpty || rest.first == UInt8(ascii: ":") && rest.dropFirst().allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    /// `unreserved`, `sub-delims` and the percent sign.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            _ where isDigit(byte),
            UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: "_~!$&'()*+,;=%".utf8.contains(byte)
        }
    }
}
