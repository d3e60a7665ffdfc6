import Postgres
import Testing

@testable import Loader

/// Invariant 13: the origin of a database error by its SQLSTATE and the objects that it names.
@Suite struct FaultKindTests {
    @Test(arguments: [
        // A value that does not fit its column: a number's range, a text's length, a character of another encoding.
        ("22003", FaultKind.row), ("22001", .row), ("22P05", .row), ("22008", .row), ("22021", .row), ("22P02", .row),
        ("23503", .row), ("23514", .row), ("23P01", .row), ("44000", .row), ("54000", .row), ("P0001", .row),
        // A sequence at its end, and a NOT NULL column or a unique key that the loader does not fill.
        ("2200H", .table), ("23502", .table), ("23505", .table),
        ("42P01", .table), ("42703", .table), ("42P10", .table), ("42804", .table), ("42501", .table),
        ("428C9", .table), ("0A000", .table), ("XX000", .table), ("XX001", .table), ("25P02", .table),
        ("F0000", .table), ("HV000", .table), ("54001", .table),
        ("08006", .server), ("53100", .server), ("53200", .server), ("53300", .server), ("57014", .server),
        ("57P01", .server), ("57P03", .server), ("58030", .server), ("25006", .server), ("55P03", .server),
        ("40001", .server), ("40P01", .server),
        ("28P01", .setting), ("28000", .setting), ("3D000", .setting),
    ])
    func theSQLSTATEDecidesTheKindOfFault(_ state: String, _ kind: FaultKind) {
        #expect(FaultKind(sqlState: state) == kind)
    }

    /// One state of each further class in the appendix "PostgreSQL Error Codes" of its documentation: a state that the
    /// loader does not know sets no row aside.
    @Test(arguments: [
        "02000", "03000", "09000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608", "20000", "21000", "24000",
        "25000", "26000", "27000", "2B000", "2D000", "2F000", "34000", "38000", "39000", "3B000", "3F000", "40000",
        "40002", "40003", "42601", "42P17", "55000", "55006", "57000", "72000", "99999",
    ])
    func everyOtherSQLSTATEIsAFaultOfTheTable(_ state: String) {
        #expect(FaultKind(sqlState: state) == .table)
    }

    /// A pooler refuses a password or a database's name with a state of the server.
    @Test(arguments: ["08P01", "XX000", "28P01", "42704", "42501"])
    func aRefusalOfTheStartIsASettings(_ state: String) {
        var origin = PostgresError.Origin()
        origin.isStart = true
        let error = PostgresError.refused(sqlState: state, message: "", detail: nil, origin: origin)
        #expect(error.faultKind == .setting && !error.isTemporary)
    }

    /// A trigger may raise any error about a row. Only states of the server and of a sequence are not the row's fault.
    @Test(arguments: [
        ("P0001", FaultKind.row), ("F0000", .row), ("HV000", .row), ("42703", .row), ("23502", .row), ("22012", .row),
        ("28000", .row), ("3D000", .row), ("57014", .server), ("40001", .server), ("53100", .server),
        ("2200H", .table),
    ])
    func anErrorWithinAFunctionCountsAsTheRowsFault(_ state: String, _ kind: FaultKind) {
        var origin = PostgresError.Origin()
        origin.isInFunction = true
        #expect(FaultKind(sqlState: state, origin: origin) == kind)
    }

    @Test(arguments: [
        "P0001", "F0000", "28000", "3D000", "2200H", "08006", "25006", "40001", "53400", "57P03", "58030",
    ])
    func aStateThatAFunctionRaisesIsPerhapsTheRows(_ state: String) {
        var origin = PostgresError.Origin()
        origin.isInFunction = true
        origin.isRaised = true
        let error = PostgresError.refused(sqlState: state, message: "", detail: nil, origin: origin)
        #expect(error.faultKind == .row && !error.isTemporary && !error.isRetryable)
    }

    /// A trigger that handles every error often raises it again.
    @Test(arguments: ["40P01", "53100", "53200", "55P03", "57014"])
    func aFaultOfTheServerThatAFunctionPassesOnStaysTheServers(_ state: String) {
        var origin = PostgresError.Origin()
        origin.isInFunction = true
        origin.isRaised = true
        #expect(PostgresError.refused(sqlState: state, message: "", detail: nil, origin: origin).faultKind == .server)
    }

    @Test(arguments: [("power", FaultKind.row), ("idempotency_key", .row), ("extra", .table)])
    func aNullIsTheRowsFaultOnlyInAColumnThatReadingsFill(_ column: String, _ kind: FaultKind) {
        var origin = PostgresError.Origin()
        origin.column = column
        #expect(FaultKind(sqlState: "23502", origin: origin) == kind)
    }

    @Test(arguments: [
        ("Key (device_id, \"timestamp\")=(plug, 2026-01-01) already exists.", FaultKind.row),
        ("Schlüssel »(lower(device_id))=(plug)« existiert bereits.", .row),
        ("Key (id)=(17) already exists.", .table), ("Key (device_id, id)=(plug, 17) already exists.", .table),
        ("", .table),
    ])
    func aDuplicateKeyIsTheRowsFaultOnlyIfReadingsFillIt(_ detail: String, _ kind: FaultKind) {
        #expect(FaultKind(sqlState: "23505", detail: detail) == kind)
    }

    @Test func aMissingPartitionIsTheTablesFault() {
        var origin = PostgresError.Origin()
        origin.table = "power_logs"
        #expect(FaultKind(sqlState: "23514", origin: origin) == .table)
        origin.constraint = "power_logs_power_check"
        #expect(FaultKind(sqlState: "23514", origin: origin) == .row)
    }

    @Test func aPolicyIsTheRowsFaultAndAPrivilegeTheTables() {
        var origin = PostgresError.Origin()
        origin.routine = "ExecWithCheckOptions"
        #expect(FaultKind(sqlState: "42501", origin: origin) == .row)
        origin.routine = "aclcheck_error"
        #expect(FaultKind(sqlState: "42501", origin: origin) == .table)
    }

    @Test(arguments: [
        (PostgresError.unavailable(""), FaultKind?.some(.server)), (.outcomeUnknown(""), .server), (.invalid(""), nil),
    ])
    func errorsWithoutASQLSTATEAreAnOutageOrInvalidUse(_ error: PostgresError, _ kind: FaultKind?) {
        #expect(error.faultKind == kind)
    }
}
