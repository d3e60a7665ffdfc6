/// The types of a table's columns, with domains resolved, as the beginning of a query whose `$1` is the table.
enum ColumnTypes {
    /// `column_types(name, number, declared, type, modifier, is_required, has_default)`, a row for each column.
    ///
    /// The declared type is text. `type` and `modifier` are those of `pg_attribute`, or of the domain's base type. A column
    /// is required if it or its domain must not be null.
    static let query = """
        WITH RECURSIVE resolved AS (
            SELECT attname AS name, attnum AS number, format_type(atttypid, atttypmod) AS declared, atttypid AS type,
                atttypmod AS modifier, attnotnull AS is_required, atthasdef OR attidentity <> '' AS has_default
            FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
            UNION ALL
            SELECT name, number, declared, typbasetype, typtypmod, is_required OR typnotnull,
                has_default OR typdefault IS NOT NULL
            FROM resolved JOIN pg_type ON oid = type AND typtype = 'd'
        ), column_types AS (SELECT resolved.* FROM resolved JOIN pg_type ON oid = type AND typtype <> 'd')

        """
}
