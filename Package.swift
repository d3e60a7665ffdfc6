// swift-tools-version: 6.2
import PackageDescription

/// The one place where the version stands: of both programs, the HTTP interface and the Debian package.
let version = "0.2.0"
/// The commit that they are built from, as ops/dev/commit.sh prints it; empty when SwiftPM is run by hand. Not
/// `Context.gitInformation`: SwiftPM keeps an evaluated manifest until its text or the environment changes.
let commit = Context.environment["SHELLY_COMMIT"] ?? ""

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "shelly-collector",
    products: [
        .executable(name: "shelly-receiver", targets: ["Receiver"]),
        .executable(name: "shelly-loader", targets: ["Loader"]),
    ],
    dependencies: [
        // Without its traits, which bring all of Foundation and a package for configuration.
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "Receiver",
            dependencies: [
                "CLibcrypto", "CLinux", "CResources", "Commit", "Ledger", "Readings", "Spool", "Postgres", "Settings",
                "Logs", "Checkup", "Text", "Time",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["Commit", "Ledger", "Resources"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Commit",
            dependencies: [
                "CLinux", "Ledger", "Readings", "Spool", "Time",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/Receiver/Commit",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Ledger",
            dependencies: [
                "CLinux", "Readings", "Spool",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Receiver/Ledger",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "Loader",
            dependencies: [
                "Readings", "Spool", "Postgres", "Settings", "Logs", "Checkup", "Text", "Time",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Readings",
            dependencies: ["CLinux", "CSimdjson"],
            path: "Sources/Shared/Readings",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Spool",
            dependencies: [
                "CCrc32c", "CLinux", "CZstd", "Text", "Time", .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Shared/Spool",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Postgres",
            dependencies: ["CLibpq", "Text"],
            path: "Sources/Shared/Postgres",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Settings",
            dependencies: ["CVersion", "Logs", .product(name: "Logging", package: "swift-log")],
            path: "Sources/Shared/Settings",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Logs",
            dependencies: ["Text", "Time", .product(name: "Logging", package: "swift-log")],
            path: "Sources/Shared/Logs",
            swiftSettings: swiftSettings
        ),
        .target(name: "Text", path: "Sources/Shared/Text", swiftSettings: swiftSettings),
        .target(name: "Time", path: "Sources/Shared/Time", swiftSettings: swiftSettings),
        .target(
            name: "Checkup",
            dependencies: [
                "CLinux", "Logs", "Settings", "Spool", "Text", "Time",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Shared/Checkup",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "CResources",
            path: "Sources/Receiver/Resources",
            exclude: ["openapi.json", "docs.html", "docs.css", "page.css", "page.js"]
        ),
        .systemLibrary(name: "CLinux", path: "Sources/Shared/CLinux"),
        .target(
            name: "CVersion",
            path: "Sources/Shared/CVersion",
            cSettings: [
                .define("SHELLY_VERSION", to: "\"\(version)\""), .define("SHELLY_COMMIT", to: "\"\(commit)\""),
            ]
        ),
        .systemLibrary(
            name: "CLibcrypto",
            path: "Sources/Shared/CLibcrypto",
            pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"])]
        ),
        .systemLibrary(
            name: "CLibpq",
            path: "Sources/Shared/CLibpq",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"])]
        ),
        .systemLibrary(
            name: "CZstd",
            path: "Sources/Shared/CZstd",
            pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]
        ),
        .target(
            name: "CSimdjson",
            path: "Sources/Shared/CSimdjson",
            linkerSettings: [.linkedLibrary("simdjson")]
        ),
        .target(name: "CCrc32c", path: "Sources/Shared/CCrc32c"),
        .testTarget(name: "ReadingsTests", dependencies: ["Readings"], swiftSettings: swiftSettings),
        .testTarget(
            name: "SpoolTests",
            dependencies: [
                "Spool", "Time", "CCrc32c", "CZstd", "Disks", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "LogsTests",
            dependencies: ["Logs", "Time", .product(name: "Logging", package: "swift-log")],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "CheckupTests",
            dependencies: [
                "Checkup", "Disks", "Settings", "Spool", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "TextTests", dependencies: ["Text"], swiftSettings: swiftSettings),
        .testTarget(name: "TimeTests", dependencies: ["Time"], swiftSettings: swiftSettings),
        .testTarget(name: "SettingsTests", dependencies: ["Settings"], swiftSettings: swiftSettings),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ReceiverTests",
            dependencies: [
                "Receiver", "Commit", "Ledger", "Readings", "Settings", "Spool", "Time",
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "CommitTests",
            dependencies: [
                "Commit", "Disks", "Ledger", "Readings", "Spool",
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "LedgerTests", dependencies: ["Ledger", "Readings", "Settings"], swiftSettings: swiftSettings),
        .testTarget(
            name: "LoaderTests",
            dependencies: [
                "Loader", "Checkup", "Readings", "Spool", "Postgres", "Time",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Commit", "CZstd", "Ledger", "Readings", "Spool", "Seeds", "Time",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "FuzzTests",
            dependencies: ["Readings", "Spool", "Seeds", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Disks",
            dependencies: ["Spool", .product(name: "SystemPackage", package: "swift-system")],
            path: "Tests/Disks",
            swiftSettings: swiftSettings
        ),
        .target(name: "Seeds", path: "Tests/Seeds", swiftSettings: swiftSettings),
        .executableTarget(name: "crowd", path: "Tests/Crowd"),
        .testTarget(
            name: "EndToEndTests", dependencies: ["Postgres", "Settings", "Seeds"], swiftSettings: swiftSettings),
    ],
    cLanguageStandard: .gnu2x,
    cxxLanguageStandard: .cxx17
)

// The programs of `make bench`, only for it: built beside the product, they compile nothing that the product has compiled.
if Context.environment["SHELLY_BENCH"] != nil {
    package.targets += [
        .executableTarget(
            name: "floor",
            dependencies: [
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "ops/bench/Sources/Floor",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "fill",
            dependencies: ["Message", "Spool", .product(name: "SystemPackage", package: "swift-system")],
            path: "ops/bench/Sources/Fill",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "hot",
            dependencies: [
                "Ledger", "Message", "Readings", "Spool", .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "ops/bench/Sources/Hot",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "retain",
            dependencies: [
                "Disks", "Ledger", "Readings", "Spool", .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "ops/bench/Sources/Retain",
            swiftSettings: swiftSettings
        ),
        .target(name: "Message", path: "ops/bench/Sources/Message", swiftSettings: swiftSettings),
    ]
}
