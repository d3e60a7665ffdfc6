import Settings
import SystemPackage
import Testing

@testable import Checkup

struct SpoolFileSystemTests {
    @Test(
        arguments: [
            (0xEF53, "ext4", SpoolFileSystem.Nature.local), (0x9123_683E, "btrfs", .local),
            (0x0102_1994, "tmpfs", .memory), (0x8584_58F6, "ramfs", .memory),
            (0x794C_7630, "overlay", .overlay), (0x6969, "nfs", .remote), (0xFF53_4D42, "cifs", .remote),
            (0x6573_5546, "fuse", .remote), (0x0102_1997, "9p", .remote), (0x1234, "unknown (0x1234)", .unknown),
        ] as [(UInt32, String, SpoolFileSystem.Nature)])
    func eachFileSystemHasANameAndANature(type: UInt32, name: String, nature: SpoolFileSystem.Nature) {
        let kind = SpoolFileSystem(type: type)
        #expect(kind.name == name && kind.nature == nature)
        // The text gets into JSON without escapes.
        #expect(kind.risk?.contains { $0 == "\"" || $0 == "\\" || !$0.isASCII } != true)
        #expect((kind.risk == nil) == [.local, .unknown].contains(nature))
    }

    @Test func anOverlayWithoutFsyncIsRecognizedByItsOptions() {
        let table = """
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
            47 44 0:44 / /my\\040disk rw,relatime shared:1 master:2 - overlay o rw,lowerdir=/l,workdir=/w,fsync=volatile
            48 44 0:45 / /b rw,relatime - overlay o rw,lowerdir=/l,volatile,workdir=/w
            49 44 0:46 / /c rw,relatime - overlay o rw,lowerdir=/volatile,workdir=/w
            50 44
            """
        func kind(_ device: String, type: UInt32 = 0x794C_7630) -> SpoolFileSystem {
            SpoolFileSystem(type: type, options: MountOptions.of(device: device, in: table))
        }
        #expect(kind("0:44").nature == .volatileOverlay && kind("0:45").nature == .volatileOverlay)
        #expect(kind("0:44").isRefused && kind("0:44").risk?.contains("fsync does nothing") == true)
        #expect(kind("0:46").nature == .overlay && kind("9:9").nature == .overlay && !kind("0:46").isRefused)
        #expect(kind("0:44", type: 0xEF53).nature == .local)
    }

    @Test func anOverlayLiesInMemoryIfItsUpperLayerDoes() {
        let overlay: UInt32 = 0x794C_7630
        let kind = SpoolFileSystem(type: overlay, options: ["volatile"], upperType: 0x0102_1994)
        #expect(kind.name == "overlay on tmpfs" && kind.nature == .memory && kind.isRefused)
        #expect(SpoolFileSystem(type: overlay, upperType: 0xEF53) == SpoolFileSystem(type: overlay))
        #expect(SpoolFileSystem(type: 0xEF53, upperType: 0x0102_1994).nature == .local)
    }

    @Test(
        arguments: [
            ("rw,lowerdir=/l,upperdir=/media/root-rw/overlay,workdir=/w", "/media/root-rw/overlay"),
            (#"rw,upperdir=/a\040b\054c\134d"#, #"/a b,c\d"#), (#"rw,upperdir=/a\9\04"#, #"/a\9\04"#),
            ("rw,lowerdir=/upperdir=/x", nil), ("", nil),
        ] as [(String, FilePath?)])
    func theUpperLayerIsAmongTheOptions(options: String, path: FilePath?) {
        #expect(MountOptions.upperDirectory(options.split(separator: ",")) == path)
    }

    @Test func aMissingPathIsOnTheFileSystemOfItsParent() throws {
        #expect(try SpoolFileSystem(at: "/proc/not/there/yet") == SpoolFileSystem(type: 0x9FA0))
        #expect(try SpoolFileSystem(at: "not-there/yet") == SpoolFileSystem(at: "."))
        #expect(throws: Errno.notDirectory) { try SpoolFileSystem(at: "/proc/version/below-a-file") }
    }

    /// The spool may lie in memory only if a setting allows it.
    @Test func aSpoolInMemoryIsRefusedUnlessASettingAllowsIt() throws {
        let shared: FilePath = "/dev/shm/spool"
        try #require(try SpoolFileSystem(at: shared).nature == .memory, "this machine has no tmpfs at /dev/shm")
        #expect(throws: SettingsError.self) { try SpoolFileSystem.admit(shared, Settings(environment: [:])) }
        #expect(try SpoolFileSystem.admit(shared, Settings(environment: ["SPOOL_FILE_SYSTEM": "any"])) == nil)
        #expect(try SpoolFileSystem.admit("/proc/spool", Settings(environment: [:])) == nil)
    }
}
