import Testing

@testable import Loader

struct RetryPauseTests {
    @Test(
        arguments: [
            (0.01, [0.01, 0.02, 0.04]), (1, [1, 2, 4, 8, 8]), (3600, [1, 2, 4, 8, 8]),
        ] as [(Double, [Double])])
    func eachPauseIsTwiceAsLongUpToEightSeconds(followPause: Double, expected: [Double]) {
        var pause = RetryPause(followPause: .seconds(followPause))
        let pauses = expected.map { _ in
            defer { pause.lengthen() }
            return pause.duration / .seconds(1)
        }
        #expect(pauses == expected)
        pause.reset()
        #expect(pause.duration / .seconds(1) == expected[0])
    }
}
