import Testing

@testable import Loader

struct RetryPauseTests {
    @Test(
        arguments: [
            (0.5, [0.5, 1, 2, 2]), (1, [1, 2, 2]), (3600, [1, 2, 2]),
        ] as [(Double, [Double])])
    func eachPauseDoublesUpToTwoSeconds(followPause: Double, expected: [Double]) {
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
