import Testing

@testable import Receiver

struct ServiceManagerTests {
    @Test func theWatchdogTimeoutAppliesOnlyToItsProcess() {
        let time = ["WATCHDOG_USEC": "120000000"]
        #expect(ServiceManager.watchdog(time, process: 7) == .seconds(120))
        #expect(ServiceManager.watchdog(time.merging(["WATCHDOG_PID": "7"]) { $1 }, process: 7) == .seconds(120))
        #expect(ServiceManager.watchdog(time.merging(["WATCHDOG_PID": "8"]) { $1 }, process: 7) == nil)
        for none in ["", "0", "-1", "soon", "99999999999999999999"] {
            #expect(ServiceManager.watchdog(["WATCHDOG_USEC": none], process: 7) == nil)
        }
        #expect(ServiceManager.watchdog([:], process: 7) == nil)
    }

    @Test func onlyAPathOrAnAbstractNameOfValidLengthIsASocket() {
        for name in ["/run/systemd/notify", "@notify", "/" + String(repeating: "x", count: 106)] {
            #expect(NotifySocket(name) != nil)
        }
        for name in ["", "/", "@", "notify", "vsock:2:1234", "/" + String(repeating: "x", count: 107)] {
            #expect(NotifySocket(name) == nil)
        }
    }
}
