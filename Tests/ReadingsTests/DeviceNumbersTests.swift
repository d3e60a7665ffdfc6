import Readings
import Testing

/// A device is found under its number until it is removed.
struct DeviceNumbersTests {
    private func device(_ name: Int) throws -> DeviceID { try DeviceID("device-\(name)") }

    @Test func devicesAreNumberedInOrder() throws {
        var numbers = DeviceNumbers()
        #expect(try numbers.number(of: device(0)) == nil)
        for name in 0..<1000 { #expect(try numbers.add(device(name)) == name) }
        for name in 0..<1000 { #expect(try numbers.number(of: device(name)) == name) }
        #expect(try numbers.number(of: device(1000)) == nil)
        #expect(try numbers.count == 1000 && numbers.names[7] == device(7))
    }

    @Test func aNumberIsFreeOnceItsDeviceIsRemoved() throws {
        var numbers = DeviceNumbers()
        for name in 0..<20 { _ = try numbers.add(device(name)) }
        numbers.remove(5)
        #expect(try numbers.number(of: device(5)) == nil && numbers.count == 19)
        #expect(try numbers.add(device(77)) == 5)
        #expect(try numbers.number(of: device(77)) == 5 && numbers.count == 20)
    }

    /// A removal moves other entries of the hash table back, and none of them may get lost.
    @Test func remainingEntriesAreFoundAfterAnyRemoval() throws {
        var numbers = DeviceNumbers()
        var expected: [Int: Int] = [:]
        var random = SystemRandomNumberGenerator()
        for step in 0..<20_000 {
            let name = Int.random(in: 0..<200, using: &random)
            let device = try device(name)
            let known = numbers.number(of: device)
            try #require(known == expected[name], "step \(step)")
            if let known {
                numbers.remove(known)
                expected[name] = nil
            } else {
                expected[name] = numbers.add(device)
            }
            #expect(numbers.count == expected.count && Set(expected.values).count == expected.count)
        }
    }
}
