//! Columns as Arrow arrays. Numbers, and texts that stand one beside the other, are not copied: an
//! array holds on to the column that it shows.

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::alloc::Allocation;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::columns::column::{Column, Span, Text, Values};
use crate::columns::rows::BEYOND;
use crate::columns::schema::Field;
use crate::columns::times::{parse_date, parse_datetime};
use crate::json;
use crate::text::decode_utf8;
use crate::value::{Kind, Plain, explained, refused, utf8};

/// The type of a field's array. `aware` says whether its datetimes have an offset from UTC.
pub fn data_type(field: Field<'_>, aware: bool) -> DataType {
    match field.kind {
        Kind::Str | Kind::Json { .. } => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Via { plain, .. } => match plain {
            Plain::EnumStr => DataType::Utf8,
            Plain::EnumInt => DataType::Int64,
            Plain::Date => DataType::Date32,
            Plain::Datetime => {
                DataType::Timestamp(TimeUnit::Microsecond, aware.then(|| "UTC".into()))
            }
        },
    }
}

/// The type of a column's array. Of its values, only the first datetime matters.
pub fn column_type(
    py: Python<'_>,
    field: Field<'_>,
    column: &Column,
    rows: usize,
) -> PyResult<DataType> {
    let mut aware = false;
    if let Kind::Via { plain, .. } = field.kind
        && *plain == Plain::Datetime
        && let Some(row) = (0..rows).find(|&row| !column.is_null(row))
    {
        (_, aware) = parsed_at(py, field, column, row, parse_datetime)?;
    }
    Ok(data_type(field, aware))
}

pub fn array(
    py: Python<'_>,
    field: Field<'_>,
    column: &Arc<Column>,
    rows: usize,
) -> PyResult<ArrayData> {
    let data_type = column_type(py, field, column, rows)?;
    let buffers = match (&column.values, &data_type) {
        // SAFETY: the ints are the column's.
        (Values::Int(ints), _) => vec![unsafe { shared(&ints[..rows], column.clone()) }],
        (Values::Same(int), _) => vec![Buffer::from_vec(vec![*int; rows])],
        // SAFETY: the floats are the column's.
        (Values::Float(floats), _) => vec![unsafe { shared(&floats[..rows], column.clone()) }],
        (Values::Bool(bools), _) => {
            vec![BooleanBuffer::collect_bool(rows, |row| bools[row]).into_inner()]
        }
        (Values::Text(_), DataType::Int64) => {
            vec![each(column, rows, |row| {
                parsed_at(py, field, column, row, parse_int)
            })?]
        }
        (Values::Text(_), DataType::Date32) => {
            vec![each(column, rows, |row| {
                parsed_at(py, field, column, row, parse_date)
            })?]
        }
        (Values::Text(_), DataType::Timestamp(_, zone)) => {
            vec![each(column, rows, |row| {
                let (micros, aware) = parsed_at(py, field, column, row, parse_datetime)?;
                if aware == zone.is_some() {
                    return Ok(micros);
                }
                let why = "a column for Arrow has datetimes with an offset from UTC or without, \
                           not both";
                Err(at_row(row, refused(field.label, why), py))
            })?]
        }
        (Values::Text(text), _) => texts(py, field, text, column, rows)?,
    };
    let nulls = column.nulls.as_ref();
    let nulls = nulls.map(|nulls| BooleanBuffer::collect_bool(rows, |row| !nulls[row]));
    let array = ArrayData::builder(data_type).len(rows).buffers(buffers);
    // SAFETY: the buffers are those of the type, for so many rows, and texts are UTF-8 where it is.
    Ok(unsafe { array.nulls(nulls.map(NullBuffer::new)).build_unchecked() })
}

/// The error of a row among many.
#[cold]
pub fn at_row(row: usize, error: PyErr, py: Python<'_>) -> PyErr {
    explained(&format!("row {row}"), error, py)
}

/// A buffer that shows `values` and keeps their owner alive.
///
/// # Safety
/// The owner holds the values, and does not change them while it is shared.
unsafe fn shared<T>(values: &[T], owner: Arc<dyn Allocation>) -> Buffer {
    // SAFETY: the slice is as long as it says, and lives as long as its owner.
    unsafe {
        Buffer::from_custom_allocation(NonNull::from(values).cast(), size_of_val(values), owner)
    }
}

/// The offsets and the data of texts, which are checked to be UTF-8 unless they are bytes.
fn texts(
    py: Python<'_>,
    field: Field<'_>,
    text: &Text,
    column: &Column,
    rows: usize,
) -> PyResult<Vec<Buffer>> {
    const MAX: usize = i32::MAX as usize;
    let spans = &text.spans[..rows];
    let end = |span: &Span| span.start as usize + span.len as usize;
    let adjoin = |two: &[Span]| end(&two[0]) == two[1].start as usize;
    let in_place = spans.windows(2).all(adjoin)
        && (0..rows).all(|row| spans[row].len == 0 || !column.is_null(row))
        && spans.last().is_none_or(|last| end(last) <= MAX);

    let mut at = match spans.first() {
        Some(first) if in_place => first.start as usize,
        _ => 0,
    };
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(at as i32);
    for (row, span) in spans.iter().enumerate() {
        at += if column.is_null(row) {
            0
        } else {
            span.len as usize
        };
        if at > MAX {
            let why = "a column for Arrow holds 2 GiB of text, got more";
            return Err(refused(field.label, why));
        }
        offsets.push(at as i32);
    }
    let shown = (0..rows).filter(|&row| !column.is_null(row));
    let data = if in_place {
        // SAFETY: the data is the Arc's.
        unsafe { shared(&text.data[..at], Arc::new(text.data.clone())) }
    } else {
        let mut data = Vec::with_capacity(at);
        shown
            .clone()
            .for_each(|row| data.extend_from_slice(text.get(row)));
        Buffer::from_vec(data)
    };
    if !matches!(field.kind, Kind::Bytes) && !data[offsets[0] as usize..].is_ascii() {
        let mut shown = shown;
        if let Some(row) = shown.find(|&row| str::from_utf8(text.get(row)).is_err()) {
            let error = refused(field.label, "the text is not UTF-8");
            return Err(at_row(row, error, py));
        }
    }
    Ok(vec![Buffer::from_vec(offsets), data])
}

fn each<T: ArrowNativeType>(
    column: &Column,
    rows: usize,
    value: impl Fn(usize) -> PyResult<T>,
) -> PyResult<Buffer> {
    let values = (0..rows).map(|row| match column.is_null(row) {
        true => Ok(T::default()),
        false => value(row),
    });
    Ok(Buffer::from_vec(values.collect::<PyResult<Vec<T>>>()?))
}

fn parsed_at<T>(
    py: Python<'_>,
    field: Field<'_>,
    column: &Column,
    row: usize,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> PyResult<T> {
    let parsed = parsed(py, field, column.text().get(row), parse);
    parsed.map_err(|error| at_row(row, error, py))
}

/// What a text says. If it is written otherwise than Gaia does it, its Python value knows.
fn parsed<T>(
    py: Python<'_>,
    field: Field<'_>,
    text: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> PyResult<T> {
    if let Some(parsed) = parse(text) {
        return Ok(parsed);
    }
    let Kind::Via { encode, decode, .. } = field.kind else {
        unreachable!("only what goes via a conversion is parsed");
    };
    let object = decode_utf8(py, text).and_then(|text| decode.bind(py).call1((text,)));
    let object = object.map_err(|error| explained(field.label, error, py))?;
    let text = json::converted(encode, field.label, &object)?.str()?;
    let parsed = parse(utf8(field.label, &text)?);
    parsed.ok_or_else(|| refused(field.label, BEYOND))
}

fn parse_int(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// The number that a date, a datetime or an enum of ints is in Arrow, from its text; of a datetime,
/// also whether it has an offset from UTC.
pub fn number_of_text(
    py: Python<'_>,
    field: Field<'_>,
    text: &[u8],
) -> PyResult<(i64, Option<bool>)> {
    let Kind::Via { plain, .. } = field.kind else {
        unreachable!("a field of numbers");
    };
    Ok(match plain {
        Plain::Date => (parsed(py, field, text, parse_date)?.into(), None),
        Plain::Datetime => {
            let (micros, aware) = parsed(py, field, text, parse_datetime)?;
            (micros, Some(aware))
        }
        Plain::EnumInt | Plain::EnumStr => (parsed(py, field, text, parse_int)?, None),
    })
}

/// As `number_of_text`, from the value.
pub fn number_of(field: Field<'_>, value: &Bound<'_, PyAny>) -> PyResult<(i64, Option<bool>)> {
    let Kind::Via { encode, .. } = field.kind else {
        unreachable!("a field of numbers");
    };
    let text = json::converted(encode, field.label, value)?.str()?;
    number_of_text(value.py(), field, utf8(field.label, &text)?)
}

pub fn schema_capsule<'py>(
    py: Python<'py>,
    field: &arrow_schema::Field,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(field).map_err(invalid)?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

#[cold]
pub fn invalid(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub fn array_capsule<'py>(py: Python<'py>, array: &ArrayData) -> PyResult<Bound<'py, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArray::new(array), c"arrow_array")
}
