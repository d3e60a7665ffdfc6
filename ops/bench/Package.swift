// swift-tools-version: 6.1
import PackageDescription

// What the bench needs beside the product: the floor that it is compared with, a program that fills spools, and the
// product's hot functions without a server around them. `Sources/Shared` and the ledger are links to the product's own.

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "shelly-bench",
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.1"),
    ],
    targets: [
        .executableTarget(
            name: "floor",
            dependencies: [
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Floor",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "fill",
            dependencies: ["Message", "Spool", .product(name: "SystemPackage", package: "swift-system")],
            path: "Sources/Fill",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "hot",
            dependencies: ["Message", "Readings", "Spool", .product(name: "SystemPackage", package: "swift-system")],
            path: "Sources/Hot",
            swiftSettings: swiftSettings
        ),
        .target(name: "Message", swiftSettings: swiftSettings),
        .target(
            name: "Readings",
            dependencies: ["CSimdjson"],
            path: "Sources/Shared/Readings",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Spool",
            dependencies: ["CCrc32c", "CLinux", .product(name: "SystemPackage", package: "swift-system")],
            path: "Sources/Shared/Spool",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "CSimdjson",
            path: "Sources/Shared/CSimdjson",
            linkerSettings: [.linkedLibrary("simdjson")]
        ),
        .systemLibrary(name: "CLinux", path: "Sources/Shared/CLinux"),
        .target(name: "CCrc32c", path: "Sources/Shared/CCrc32c"),
    ],
    cxxLanguageStandard: .cxx17
)
