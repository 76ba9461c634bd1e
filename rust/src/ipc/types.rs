//! Which types a schema may describe. No Python here.

use arrow_ipc::{DateUnit, Field, Int, IntervalUnit, Precision, TimeUnit, Type, UnionMode};

/// Whether a field's type is one that there is, and described in full: no other can be converted.
pub fn is_known(field: Field<'_>) -> bool {
    let children = field.children();
    let count = children.map_or(0, |children| children.len());
    let plain = match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View
        | Type::Struct_ => Some(true),
        Type::Int => field.type_as_int().map(is_int),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .map(|float| Precision::ENUM_VALUES.contains(&float.precision())),
        Type::FixedSizeBinary => field
            .type_as_fixed_size_binary()
            .map(|binary| binary.byteWidth() >= 0),
        Type::Date => field
            .type_as_date()
            .map(|date| DateUnit::ENUM_VALUES.contains(&date.unit())),
        Type::Time => field.type_as_time().map(|time| {
            let fine = [TimeUnit::MICROSECOND, TimeUnit::NANOSECOND].contains(&time.unit());
            TimeUnit::ENUM_VALUES.contains(&time.unit())
                && time.bitWidth() == if fine { 64 } else { 32 }
        }),
        // In C structs, a null byte would end the zone.
        Type::Timestamp => field.type_as_timestamp().map(|timestamp| {
            let zone = timestamp.timezone().unwrap_or_default();
            TimeUnit::ENUM_VALUES.contains(&timestamp.unit()) && !zone.contains('\0')
        }),
        Type::Duration => field
            .type_as_duration()
            .map(|duration| TimeUnit::ENUM_VALUES.contains(&duration.unit())),
        Type::Interval => field
            .type_as_interval()
            .map(|interval| IntervalUnit::ENUM_VALUES.contains(&interval.unit())),
        Type::Decimal => field.type_as_decimal().map(|decimal| {
            let widths = [32, 64, 128, 256];
            widths.contains(&decimal.bitWidth())
                && u8::try_from(decimal.precision()).is_ok()
                && i8::try_from(decimal.scale()).is_ok()
        }),
        Type::List | Type::LargeList | Type::ListView | Type::LargeListView => Some(count == 1),
        Type::FixedSizeList => field
            .type_as_fixed_size_list()
            .map(|list| count == 1 && list.listSize() >= 0),
        Type::Map => field.type_as_map().map(|_| count == 1),
        Type::RunEndEncoded => Some(count == 2),
        Type::Union => field.type_as_union().map(|union| {
            let mut ids: Vec<_> = match union.typeIds() {
                Some(ids) => ids.iter().collect(),
                None => (0..).take(count).collect(),
            };
            ids.sort_unstable();
            ids.dedup();
            UnionMode::ENUM_VALUES.contains(&union.mode())
                && ids.len() == count
                && union.typeIds().is_none_or(|all| all.len() == count)
                && ids.iter().all(|id| (0..128).contains(id))
        }),
        _ => None,
    };
    let encoded = field.dictionary();
    plain == Some(true)
        && encoded.is_none_or(|dictionary| dictionary.indexType().is_some_and(is_int))
        && children.is_none_or(|children| children.iter().all(is_known))
}

fn is_int(int: Int<'_>) -> bool {
    [8, 16, 32, 64].contains(&int.bitWidth())
}
