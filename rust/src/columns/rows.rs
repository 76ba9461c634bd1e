//! Records to the rows of columns and back.

use std::borrow::Borrow;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat};
use triomphe::Arc;

use crate::codec::Shape;
use crate::columns::column::{Column, Text, Values};
use crate::columns::schema::Field;
use crate::json;
use crate::text::decode_utf8;
use crate::value::{
    Integer, Kind, ascii, boolean, exact_small, explained, float, integer, raw_bytes, refused, utf8,
};

pub const BEYOND: &str = "the column tier holds ints of 64 bits, got one beyond";

/// Empty columns, to append to.
pub fn builder(shape: &Shape) -> Vec<Column> {
    shape.fields().map(|field| empty(field.kind)).collect()
}

pub fn empty(kind: &Kind) -> Column {
    match kind {
        Kind::Str | Kind::Bytes | Kind::Json { .. } | Kind::Via { .. } => {
            Values::Text(Text::default())
        }
        Kind::Int => Values::Int(Vec::new()),
        Kind::Float => Values::Float(Vec::new()),
        Kind::Bool => Values::Bool(Vec::new()),
    }
    .into()
}

/// Appends a record that `Shape::check` has passed to columns of `len` rows, which were begun by
/// `builder`. If it fails, they are as before.
#[inline]
pub fn append(
    shape: &Shape,
    record: &Bound<'_, PyAny>,
    columns: &mut [Column],
    len: usize,
) -> PyResult<()> {
    let mut fields = columns.iter_mut().enumerate();
    let appended = fields.try_for_each(|(i, column)| append_field(shape, record, i, column, len));
    if appended.is_err() {
        columns.iter_mut().for_each(|column| truncate(column, len));
    }
    appended
}

/// Appends one field of such a record to its column of `len` rows. If it fails, the column may end in
/// data of no row.
#[inline]
pub fn append_field(
    shape: &Shape,
    record: &Bound<'_, PyAny>,
    i: usize,
    column: &mut Column,
    len: usize,
) -> PyResult<()> {
    let Shape::Class(class) = shape else {
        return push(shape.field(0), record, column, len);
    };
    // The commonest values are read where they stand.
    match (
        class.slot(record, i),
        &class.fields[i].kind,
        &mut column.values,
    ) {
        (Some(value), Kind::Str, Values::Text(text)) => {
            if let Some(ascii) = ascii(&value) {
                room("", text.data.len() + ascii.len())?;
                text.push(ascii);
                column.note_null(len, false);
                return Ok(());
            }
        }
        (Some(value), Kind::Int, Values::Int(ints)) => {
            if let Some(int) = exact_small(&value) {
                ints.push(int);
                column.note_null(len, false);
                return Ok(());
            }
        }
        _ => {}
    }
    push(shape.field(i), &class.get(record, i)?, column, len)
}

/// Keeps the first rows only.
#[cold]
pub fn truncate(column: &mut Column, len: usize) {
    match &mut column.values {
        Values::Text(text) => {
            text.spans.truncate(len);
            let end = text.spans.last().map_or(0, |span| span.start + span.len);
            Arc::make_mut(&mut text.data).truncate(end as usize);
        }
        Values::Int(ints) => ints.truncate(len),
        Values::Float(floats) => floats.truncate(len),
        Values::Bool(bools) => bools.truncate(len),
        Values::Same(_) => {}
    }
    if let Some(nulls) = &mut column.nulls {
        nulls.truncate(len);
        if !nulls.contains(&true) {
            column.nulls = None;
        }
    }
}

/// Appends a field's value to a column of `len` rows. If it fails, the column may end in data of
/// no row.
#[inline]
pub fn push(
    field: Field<'_>,
    value: &Bound<'_, PyAny>,
    column: &mut Column,
    len: usize,
) -> PyResult<()> {
    if field.optional && value.is_none() {
        push_null(column, len);
        return Ok(());
    }
    let label = field.label;
    match (field.kind, &mut column.values) {
        (Kind::Str, Values::Text(text)) => match ascii(value) {
            Some(ascii) => push_text(label, text, ascii)?,
            None => push_text(label, text, utf8(label, value)?)?,
        },
        (Kind::Int, Values::Int(ints)) => ints.push(match exact_small(value) {
            Some(int) => int,
            None => match integer(label, value)? {
                Integer::Small(int) => int,
                Integer::Large(_) => return Err(refused(label, BEYOND)),
            },
        }),
        (Kind::Bytes, Values::Text(text)) => push_text(label, text, raw_bytes(label, value)?)?,
        (Kind::Float, Values::Float(floats)) => floats.push(float(label, value)?),
        (Kind::Bool, Values::Bool(bools)) => bools.push(boolean(label, value)?),
        (Kind::Json { .. }, Values::Text(text)) => {
            let mut json = Vec::new();
            json::write_kind(field.kind, label, value, &mut json)?;
            push_text(label, text, &json)?;
        }
        (Kind::Via { encode, .. }, Values::Text(text)) => {
            let plain = json::converted(encode, label, value)?.str()?;
            push_text(label, text, utf8(label, &plain)?)?;
        }
        _ => unreachable!("columns of this shape"),
    }
    column.note_null(len, false);
    Ok(())
}

/// Appends a row without a value to a column of `len` rows.
pub fn push_null(column: &mut Column, len: usize) {
    match &mut column.values {
        Values::Text(text) => text.push(b""),
        Values::Int(ints) => ints.push(0),
        Values::Float(floats) => floats.push(0.0),
        Values::Bool(bools) => bools.push(false),
        Values::Same(_) => {}
    }
    column.note_null(len, true);
}

#[inline]
pub fn push_text(label: &str, text: &mut Text, value: &[u8]) -> PyResult<()> {
    room(label, text.data.len() + value.len())?;
    text.push(value);
    Ok(())
}

/// # Errors
/// `ValueError` where a `Span` could not tell where a text ends.
#[inline]
pub fn room(label: &str, end: usize) -> PyResult<()> {
    if end > u32::MAX as usize {
        let why = "the column tier holds 4 GiB of text in one batch, got more";
        return Err(refused(label, why));
    }
    Ok(())
}

/// The record in a row.
pub fn record<'py>(
    py: Python<'py>,
    shape: &Shape,
    columns: &[impl Borrow<Column>],
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let Shape::Class(class) = shape else {
        return value(py, shape.field(0), columns[0].borrow(), row);
    };
    let mut fields = shape.fields().zip(columns);
    let record = class.make(py, |_| {
        let next = fields.next();
        next.map(|(field, column)| value(py, field, column.borrow(), row))
            .transpose()
    })?;
    Ok(record.expect("a column for every field"))
}

/// The value in a row.
pub fn value<'py>(
    py: Python<'py>,
    field: Field<'_>,
    column: &Column,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    let explain = |error| explained(field.label, error, py);
    Ok(match (field.kind, &column.values) {
        (Kind::Str, Values::Text(text)) => decode_utf8(py, text.get(row)).map_err(explain)?,
        (Kind::Bytes, Values::Text(text)) => PyBytes::new(py, text.get(row)).into_any(),
        (Kind::Int, _) => column.int(row).into_pyobject(py)?.into_any(),
        (Kind::Float, Values::Float(floats)) => PyFloat::new(py, floats[row]).into_any(),
        (Kind::Bool, Values::Bool(bools)) => PyBool::new(py, bools[row]).to_owned().into_any(),
        (Kind::Json { decode, .. }, Values::Text(text)) => {
            let json = PyBytes::new(py, text.get(row));
            decode.bind(py).call1((json,)).map_err(explain)?
        }
        (Kind::Via { decode, .. }, Values::Text(text)) => decode_utf8(py, text.get(row))
            .and_then(|text| decode.bind(py).call1((text,)))
            .map_err(explain)?,
        _ => unreachable!("columns of this shape"),
    })
}
