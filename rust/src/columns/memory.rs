//! What stands in the buffers of an Arrow array. No Python here.

use std::ops::Range;

use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;

use crate::columns::numbers::Number;

/// The bits of a buffer of an array, one for every row.
///
/// # Safety
/// There are so many.
pub unsafe fn bits(array: &Array, buffer: usize, rows: Range<usize>) -> Vec<bool> {
    let bits = array.buffer(buffer);
    let bit = |at: usize| {
        // SAFETY: as the caller promises.
        let byte = unsafe { bits.add(at / 8).read() };
        byte >> (at % 8) & 1 == 1
    };
    rows.map(bit).collect()
}

/// How many bytes of text an array has, where that is told without looking at every one.
///
/// # Safety
/// The array is alive and as the schema says.
pub unsafe fn text_bytes(schema: &Schema, array: &Array) -> usize {
    let (first, len) = (array.offset(), array.len());
    if len == 0 {
        return 0;
    }
    // SAFETY: there is an offset for every row and one behind the last, or a view for every row.
    unsafe {
        let text = array.num_buffers().checked_sub(1).map(|_| array.buffer(1));
        match (schema.format(), text) {
            (_, None) => 0,
            ("u" | "z", Some(text)) => {
                let at = |row| number_at::<i32>(text, row) as usize;
                at(first + len) - at(first)
            }
            ("U" | "Z", Some(text)) => {
                let at = |row| number_at::<i64>(text, row) as usize;
                at(first + len) - at(first)
            }
            ("vu" | "vz", Some(text)) => {
                let at = |row| number_at::<i32>(text, 4 * row) as usize;
                (first..first + len).map(at).sum()
            }
            _ => 0,
        }
    }
}

/// # Safety
/// The buffer has such a number.
pub unsafe fn number_at<T>(buffer: *const u8, index: usize) -> T {
    // SAFETY: as the caller promises.
    unsafe { buffer.cast::<T>().add(index).read_unaligned() }
}

/// # Safety
/// The buffer has so many bytes from `start` on, and lives as long as they are used; without any,
/// it may be null.
pub unsafe fn bytes<'a>(buffer: *const u8, start: usize, len: usize) -> &'a [u8] {
    if len == 0 {
        return b"";
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(buffer.add(start), len) }
}

pub fn number(format: &str) -> Option<Number> {
    Some(match format {
        "c" => Number::I8,
        "s" => Number::I16,
        "i" => Number::I32,
        "l" => Number::I64,
        "C" => Number::U8,
        "S" => Number::U16,
        "I" => Number::U32,
        "L" => Number::U64,
        "f" => Number::F32,
        "g" => Number::F64,
        "b" => Number::Bool,
        _ => return None,
    })
}
