import Foundation
import Glibc
import Testing

/// The receiver's messages to the service manager that started it, on a real socket.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct ServiceManagerTests {
    let rig: Rig
    private let name: String

    init() throws {
        rig = try Rig()
        name = rig.directory + "/notify"
    }

    @Test(arguments: [false, true])
    func theReceiverReportsReadyWhenItCanAcceptABatchAndReportsItsStop(isAbstract: Bool) throws {
        let name = isAbstract ? "@shelly-\(UUID().uuidString)" : name
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name])
        #expect(manager.next() == "READY=1\nSTATUS=Taking batches")
        #expect(try rig.post(Rig.batch("a", minutes: 1..<2)).status == 200)
        #expect(manager.next(within: 0.5) == nil, "a watchdog message without WATCHDOG_USEC")
        #expect(rig.stopReceiver() == 0)
        #expect(manager.next()?.hasPrefix("STOPPING=1\n") == true)
    }

    @Test func theReceiverIsNotReadyWithoutRoom() throws {
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name, "SPOOL_RESERVE_BYTES": "\(1 << 49)"])
        for _ in 0..<2 { #expect(manager.next() == "STATUS=Not ready: Spool full or unavailable") }
        #expect(rig.stopReceiver() == 0)
        #expect(manager.next()?.hasPrefix("STOPPING=1\n") == true)
    }

    @Test func theReceiverIsNotReadyWithoutAKey() throws {
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name, "INGEST_API_KEY": ""])
        #expect(manager.next()?.hasPrefix("STATUS=Not ready: ") == true)
        // A reload does not make it ready.
        rig.signalReceiver(SIGHUP)
        for _ in 0..<3 { #expect(manager.next()?.hasPrefix("STATUS=Not ready: ") == true) }
        #expect(rig.stopReceiver() == 0)
    }

    @Test func theReceiverReportsBeginAndEndOfAReload() throws {
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name])
        #expect(manager.next()?.hasPrefix("READY=1\n") == true)
        rig.signalReceiver(SIGHUP)
        #expect(manager.next()?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true)
        #expect(manager.next() == "READY=1")
        #expect(rig.stopReceiver() == 0)
    }

    @Test func watchdogMessagesComeTwiceInTheManagersTimeout() throws {
        let manager = try NotifyListener(name)
        let start = ContinuousClock.now
        try rig.startReceiver(["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"])
        #expect(manager.next()?.hasPrefix("READY=1\n") == true)
        for _ in 0..<5 { #expect(manager.next() == "WATCHDOG=1") }
        #expect(start.duration(to: .now) > .seconds(1.5))
        // A busy machine delays some of the messages, but not all.
        var last = ContinuousClock.now
        try rig.wait("no two watchdog messages come within the manager's timeout") {
            #expect(manager.next() == "WATCHDOG=1")
            defer { last = .now }
            return last.duration(to: .now) < .seconds(0.9)
        }

        try rig.freezeReceiver()
        // The messages from before the freeze.
        while manager.next(within: 0) != nil {}
        #expect(manager.next(within: 1.5) == nil)
        rig.signalReceiver(SIGCONT)
        #expect(manager.next() == "WATCHDOG=1")
        #expect(rig.stopReceiver() == 0)
    }

    @Test func noWatchdogMessagesAreSentForAnotherProcess() throws {
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"])
        #expect(manager.next()?.hasPrefix("READY=1\n") == true)
        #expect(manager.next(within: 1) == nil)
        #expect(rig.stopReceiver() == 0)
    }

    @Test(.enabled(if: Strace.obstacle == nil))
    func aHangingDiskStopsTheWatchdogMessages() throws {
        let manager = try NotifyListener(name)
        try rig.startReceiver(["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000", "INGEST_COMMIT_SECONDS": "1"])
        #expect(manager.next(with: "WATCHDOG=1") != nil)
        try Strace.injecting("fdatasync:" + Strace.hang, into: rig) {
            let answer = try rig.post(Rig.batch("a", minutes: 1..<2))
            #expect(answer.status == 503)
            #expect(manager.next(with: "STATUS=The spool's disk does not answer") != nil)
            #expect(manager.next(within: 2) == nil)
        }
        #expect(manager.next(with: "WATCHDOG=1") != nil)
        // A batch has one second, which a busy machine can exceed.
        try rig.wait("no batch is accepted") { try rig.post(Rig.batch("a", minutes: 1..<2)).status == 200 }
        #expect(rig.stopReceiver() == 0)
    }

    @Test func withoutAServiceManagerTheReceiverWorks() throws {
        try rig.startReceiver(["NOTIFY_SOCKET": rig.directory + "/nobody", "WATCHDOG_USEC": "100000"])
        #expect(try rig.post(Rig.batch("a", minutes: 1..<2)).status == 200)
        #expect(rig.stopReceiver() == 0)
    }
}
