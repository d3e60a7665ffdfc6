import Testing

@testable import Postgres

@Suite struct BinaryArrayTests {
    @Test func emptyArrayHasNoDimensions() {
        #expect(BinaryArray(.text).encoded == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25])
    }

    @Test func headerHasTheNumberOfElementsAndWhetherThereAreNulls() {
        var array = BinaryArray(.int4)
        array.append(Int32(-2))
        let header: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1]
        #expect(array.encoded == header + [0, 0, 0, 4, 255, 255, 255, 254])
        array.appendNull()
        #expect(array.count == 2 && array.byteCount == 32)
        #expect(array.encoded[7] == 1 && array.encoded[15] == 2 && array.encoded.suffix(4) == [255, 255, 255, 255])
    }

    @Test func textIsTheSameFromBytesAndFromAnyCollection() {
        var bytes = BinaryArray(.text)
        var collection = BinaryArray(.text)
        var lazy = BinaryArray(.text)
        Array("é1".utf8).withUnsafeBytes { bytes.append(utf8: $0) }
        collection.append(utf8: "é1".utf8)
        lazy.append(utf8: "é1".utf8.lazy.map { $0 })
        #expect(bytes.encoded.suffix(7) == [0, 0, 0, 3, 0xC3, 0xA9, 0x31])
        #expect(collection.encoded == bytes.encoded && lazy.encoded == bytes.encoded)
    }

    @Test func timestampsCountFromTheYear2000() {
        var array = BinaryArray(.timestamptz)
        array.append(unixSeconds: 946_684_801)
        array.append(timestampMicroseconds: 946_684_800_000_000 - 1)
        #expect(array.encoded.dropFirst(20).prefix(12) == [0, 0, 0, 8, 0, 0, 0, 0, 0, 15, 66, 64])
        #expect(array.encoded.suffix(8) == [255, 255, 255, 255, 255, 255, 255, 255])
    }

    @Test(arguments: [true, false]) func emptiedArrayIsAsNew(keepingCapacity: Bool) {
        var array = BinaryArray(.float8)
        array.append(1.5)
        array.appendNull()
        array.removeAll(keepingCapacity: keepingCapacity)
        #expect(array.count == 0 && array.encoded == BinaryArray(.float8).encoded)
        array.append(1.5)
        #expect(array.encoded[7] == 0 && array.encoded[15] == 1)
    }

    @Test func anElementOfAnotherTypeEndsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            var array = BinaryArray(.int8)
            array.append(Int32(1))
        }
    }
}
