import Testing

@testable import Loader

@Suite struct SynchronousStandbyTests {
    @Test(arguments: [
        ("", 0), ("  ", 0), ("*", 1), ("s1", 1), ("s1, s2", 1), ("2, s1", 1), ("\"2 (\"", 1), ("first", 1),
        ("2 (s1, s2)", 2), ("FIRST 2 (s1, s2, s3)", 2), ("ANY 2 (s1, s2)", 2), ("any 3(*)", 3),
        (" First  10\n( a )", 10),
    ])
    func theSettingSaysHowManyACommitWaitsFor(_ names: String, _ needed: Int) {
        #expect(SynchronousStandby.needed(names) == needed)
    }
}
