import Glibc
import Readings
import Spool
import Synchronization
import Testing
import Time

@testable import Commit
@testable import Receiver

struct MetricsTests {
    @Test func aValueOnABucketsBoundIsInThatBucket() {
        var histogram = Histogram([1, 2])
        for value in [0, 1, 1.5, 2, 2.5, .infinity] { histogram.observe(value) }
        #expect(histogram.counts == [2, 2, 2])
    }

    @Test func aBatchIsCountedWithItsMessagesAndReadings() throws {
        let body = """
            {"messages":[{"src":"a","timestamp":60,"params":{"switch:0":{"apower":1},"switch:1":{"apower":"x"}}},
            {"src":"","timestamp":60,"params":{}}]}
            """
        let batch = try BatchDecoder().decode(Array(body.utf8), receivedAt: 1000)
        let metrics = Metrics()
        let position = SpoolPosition(segment: 1, sequence: 1)
        for duplicates in [0, 1] {
            metrics.acknowledged(
                batch, .init(inserted: 1 - duplicates, duplicates: duplicates, position: position),
                receivedAt: Timestamp(unixSeconds: 1), seconds: 0.002)
        }
        let counted = metrics.snapshot()
        #expect((counted.batches, counted.messages, counted.invalidMessages) == (2, 4, 2))
        #expect((counted.inserted, counted.duplicates, counted.errors) == (1, 1, 2))
        #expect(counted.lastBatchAt == Timestamp(unixSeconds: 1))
        #expect(counted.ack.counts.reduce(0, +) == 2 && counted.ack.sum == 0.004)
    }

    @Test func aProbeIsNotCountedAsAGroup() {
        let metrics = Metrics()
        metrics.committed(0, .milliseconds(1))
        metrics.committed(3, .milliseconds(20))
        let counted = metrics.snapshot()
        #expect((counted.group.sum, counted.fdatasync.sum) == (3, 0.02))
    }

    @Test func onlyRefusalsOfBatchesAndConnectionsAreCounted() {
        let metrics = Metrics()
        metrics.refused(.unauthorized)
        metrics.refused(.unauthorized)
        metrics.refused(.notFound)
        metrics.refused(.databaseUnavailable)
        metrics.refused(Rejection(.ledgerFull))
        #expect(metrics.snapshot().refusals == [.unauthorized: 2, .ledgerFull: 1])
    }
}

struct PrometheusTextTests {
    @Test func labelsAndHelpAreEscaped() {
        var page = PrometheusText()
        page.gauge("g", "One\\line\n\"only\"", 1.5, [("a", "x\"y\\z\n"), ("b", "ü")])
        #expect(
            page.text == """
                # HELP g One\\\\line\\n"only"
                # TYPE g gauge
                g{a="x\\"y\\\\z\\n",b="ü"} 1.5

                """)
    }

    @Test func aHistogramsBucketsAreCumulative() {
        var histogram = Histogram([0.5, 1])
        for value in [0.25, 0.75, 0.5, 8] { histogram.observe(value) }
        var page = PrometheusText()
        page.histogram("h", "H.", histogram)
        #expect(
            page.text == """
                # HELP h H.
                # TYPE h histogram
                h_bucket{le="0.5"} 2
                h_bucket{le="1.0"} 3
                h_bucket{le="+Inf"} 4
                h_sum 9.5
                h_count 4

                """)
    }

    @Test(arguments: [
        (Double.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (0, "0.0"), (1e-9, "1e-09"), (1e300, "1e+300"),
    ])
    func numbersAreInPrometheusFormat(number: Double, text: String) {
        var page = PrometheusText()
        page.gauge("g", "G.", number)
        #expect(page.text.hasSuffix("\ng \(text)\n"))
    }
}

struct SingleFlightTests {
    @Test func callersTimeOutWhileOneCallContinues() async {
        let looks = Mutex(0)
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let look = SingleFlight(timeout: .milliseconds(20)) { () -> Int? in
            looks.withLock { $0 += 1 }
            for await _ in gate { break }
            return 7
        }
        for _ in 0..<3 { #expect(await look.value() == nil) }
        while looks.withLock({ $0 }) == 0 { await Task.yield() }
        #expect(looks.withLock { $0 } == 1)
        open.finish()
    }

    @Test func eachLaterCallGetsANewValue() async {
        let looks = Mutex(0)
        let look = SingleFlight(timeout: .seconds(600)) { () -> Int? in
            await Task.yield()
            return looks.withLock { looks in
                looks += 1
                return looks
            }
        }
        let first = await look.value()
        let second = await look.value()
        #expect((first, second) == (1, 2))
    }

    @Test func theFiguresOfTheProcessAreRead() throws {
        let figures = try #require(ProcessFigures.read())
        #expect(figures.residentMemoryBytes > 1 << 20 && figures.residentMemoryBytes < figures.virtualMemoryBytes)
        #expect(figures.openFiles > 2 && figures.openFiles < figures.maximumOpenFiles)
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let age = Double(now.tv_sec) - figures.startTime
        #expect(age > -2 && age < 24 * 3600)
        #expect(figures.cpuSeconds > 0 && figures.cpuSeconds < (age + 2) * 64)
    }
}
