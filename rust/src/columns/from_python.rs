//! Columns from what user code passes: lists, arrays, Arrow columns, and single values.

use triomphe::Arc;

use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::codec::Shape;
use crate::columns::arrow::at_row;
use crate::columns::batch::PyColumn;
use crate::columns::column::{Column, Span, Values, extend_short};
use crate::columns::numbers::{Misfit, Number, Numbers};
use crate::columns::schema::Field;
use crate::columns::{from_arrow, rows};
use crate::value::{Kind, Plain, ascii, refused, utf8};

/// Lists that are longer than this are worth a batch of their own.
const FEW: usize = 4096;

/// The columns of a shape by the names of its fields, and how many rows they have. A single value
/// stands for as many of it as there are rows. `caller` is named in messages.
pub fn columns(
    caller: &str,
    shape: &Shape,
    given: &Bound<'_, PyDict>,
) -> PyResult<(usize, Vec<Column>)> {
    if let (Shape::Class(class), 0) = (shape, shape.width()) {
        let name = &class.name;
        let why = format!("{caller}: `{name}` has no fields, and so no columns");
        return Err(PyTypeError::new_err(why));
    }
    let values = shape.fields().map(|field| given.get_item(field.name));
    let values: Vec<_> = values.collect::<PyResult<Option<_>>>()?.unwrap_or_default();
    if values.len() != given.len() || values.is_empty() {
        return Err(other_fields(caller, shape, given));
    }
    let read = shape.fields().zip(&values).map(|(f, value)| read(f, value));
    let read = read.collect::<PyResult<Vec<_>>>()?;

    let named = shape.fields().zip(&read);
    let mut lengths = named.filter_map(|(field, (_, rows))| Some((field.name, (*rows)?)));
    let (first, rows) = lengths.next().unwrap_or(("", 1));
    if let Some((name, other)) = lengths.find(|&(_, other)| other != rows) {
        let why = format!("{caller}: `{first}` has {rows} values, `{name}` has {other}");
        return Err(PyValueError::new_err(why));
    }
    let columns = read.into_iter().map(|(column, many)| match many {
        Some(_) => column,
        None => repeated(&column, rows),
    });
    Ok((rows, columns.collect()))
}

/// Appends lists and single values to columns of `rows` rows, begun by `rows::builder`; returns how
/// many rows they are. None, and nothing is appended, if there are other values, or as many as had
/// better be columns of their own: that is for `columns` to read, or to refuse.
pub fn append(
    shape: &Shape,
    given: &Bound<'_, PyDict>,
    columns: &mut [Column],
    rows: usize,
) -> PyResult<Option<usize>> {
    let py = given.py();
    if given.len() != shape.width() {
        return Ok(None);
    }
    let value = |i: usize| match shape {
        Shape::Class(class) => given.get_item(class.fields[i].name.bind(py)),
        Shape::Value(_) => given.get_item(intern!(py, "value")),
    };
    let mut many = None;
    for i in 0..shape.width() {
        let Some(value) = value(i)? else {
            return Ok(None);
        };
        if let Ok(list) = value.cast::<PyList>() {
            if list.len() > FEW || many.is_some_and(|many| many != list.len()) {
                return Ok(None);
            }
            many = Some(list.len());
        } else if !is_single(&value) {
            return Ok(None);
        }
    }
    let count = many.unwrap_or(1);
    let appended = (0..shape.width()).try_for_each(|i| {
        let (field, column) = (shape.field(i), &mut columns[i]);
        let Some(value) = value(i)? else {
            return Ok(());
        };
        if let Ok(list) = value.cast::<PyList>() {
            let read = listed(field, list, column, rows)?;
            if read != count {
                let why = "a list changed while it was read";
                return Err(PyValueError::new_err(why));
            }
            return Ok(());
        }
        if count > 0 {
            rows::push(field, &value, column, rows)?;
        }
        match &mut column.values {
            Values::Int(ints) if column.nulls.is_none() && count > 0 => {
                let value = ints[rows];
                ints.resize(rows + count, value);
                Ok(())
            }
            _ => {
                (rows + 1..rows + count).try_for_each(|row| rows::push(field, &value, column, row))
            }
        }
    });
    if appended.is_err() {
        columns
            .iter_mut()
            .for_each(|column| rows::truncate(column, rows));
    }
    appended.map(|()| Some(count))
}

#[cold]
fn other_fields(caller: &str, shape: &Shape, given: &Bound<'_, PyDict>) -> PyErr {
    let names: Vec<_> = shape.fields().map(|field| field.name).collect();
    let expected = match shape {
        Shape::Class(class) => format!("the fields {} of `{}`", names.join(", "), class.name),
        Shape::Value(_) => "the column value".to_owned(),
    };
    let got: Vec<_> = given.keys().iter().map(|name| name.to_string()).collect();
    let got = if got.is_empty() {
        "none".to_owned()
    } else {
        got.join(", ")
    };
    PyTypeError::new_err(format!("{caller}: expected {expected}, got {got}"))
}

/// One row of a column, so many times.
fn repeated(column: &Column, rows: usize) -> Column {
    match &column.values {
        Values::Int(ints) if column.nulls.is_none() => Values::Same(ints[0]).into(),
        _ => column.gather(&vec![0; rows]),
    }
}

/// A column, and how many rows it has: None for a single value.
fn read(field: Field<'_>, value: &Bound<'_, PyAny>) -> PyResult<(Column, Option<usize>)> {
    let mut column = rows::empty(field.kind);
    let rows = if let Ok(list) = value.cast::<PyList>() {
        Some(listed(field, list, &mut column, 0)?)
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        Some(objects(field, tuple.iter(), &mut column, 0)?)
    } else if is_single(value) {
        None
    } else if let Some(own) = own(field, value) {
        return Ok((Column::clone(&own.column), Some(own.rows)));
    } else if !(is_numeric(field) && is_numpy(value)) && is_arrow(value)? {
        Some(from_arrow::read(field, value, &mut column)?)
    } else {
        array(field, value, &mut column)?
    };
    if rows.is_none() {
        rows::push(field, value, &mut column, 0)?;
    }
    Ok((column, rows))
}

fn is_numeric(field: Field<'_>) -> bool {
    matches!(field.kind, Kind::Int | Kind::Float | Kind::Bool)
}

/// Whether values are held by NumPy. To Arrow, pandas would give them with None for NaN.
fn is_numpy(value: &Bound<'_, PyAny>) -> bool {
    let dtype = value.getattr(intern!(value.py(), "dtype"));
    dtype.is_ok_and(|dtype| dtype.hasattr("isbuiltin").unwrap_or(false))
}

fn is_arrow(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    Ok(value.hasattr(intern!(py, "__arrow_c_array__"))?
        || value.hasattr(intern!(py, "__arrow_c_stream__"))?)
}

fn is_single(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
}

/// A column of a batch, if its values can be taken as they are.
fn own<'a>(field: Field<'_>, value: &'a Bound<'_, PyAny>) -> Option<&'a PyColumn> {
    let own = value.cast::<PyColumn>().ok()?.get();
    let alike = match (field.kind, own.field().kind) {
        (Kind::Json { decode: ours, .. }, Kind::Json { decode, .. }) => ours.is(decode),
        (
            Kind::Via {
                decode: ours,
                plain: to,
                ..
            },
            Kind::Via { decode, plain, .. },
        ) => to == plain && (matches!(plain, Plain::Date | Plain::Datetime) || ours.is(decode)),
        (ours, kind) => std::mem::discriminant(ours) == std::mem::discriminant(kind),
    };
    (alike && (field.optional || own.column.nulls.is_none())).then_some(own)
}

/// Appends Python objects to a column of `before` rows; returns how many there are.
pub fn objects<'py>(
    field: Field<'_>,
    objects: impl Iterator<Item = Bound<'py, PyAny>>,
    column: &mut Column,
    before: usize,
) -> PyResult<usize> {
    let mut rows = 0;
    for object in objects {
        rows::push(field, &object, column, before + rows)
            .map_err(|error| at_row(rows, error, object.py()))?;
        rows += 1;
    }
    Ok(rows)
}

/// `objects` of a list. Those that are str take a third of the time: the column's data is seen to be
/// unshared only once, and nothing is counted as a reference.
fn listed(
    field: Field<'_>,
    list: &Bound<'_, PyList>,
    column: &mut Column,
    before: usize,
) -> PyResult<usize> {
    if !matches!(field.kind, Kind::Str) || column.nulls.is_some() {
        return objects(field, list.iter(), column, before);
    }
    let Values::Text(text) = &mut column.values else {
        unreachable!("a column of texts");
    };
    let data = Arc::make_mut(&mut text.data);
    text.spans.reserve(list.len());
    let mut nulls = Vec::new();
    for i in 0..list.len() {
        // SAFETY: below the list's length, and reading a str runs no Python code that could change
        // the list.
        let object = unsafe {
            let item = ffi::PyList_GET_ITEM(list.as_ptr(), i.cast_signed());
            Borrowed::from_ptr(list.py(), item)
        };
        let row = text.spans.len();
        let value = match ascii(&object) {
            Some(ascii) => ascii,
            None if field.optional && object.is_none() => {
                nulls.resize(row, false);
                nulls.push(true);
                b""
            }
            None => utf8(field.label, &object)
                .map_err(|error| at_row(row - before, error, object.py()))?,
        };
        rows::room(field.label, data.len() + value.len())?;
        text.spans.push(Span::new(data.len(), value.len()));
        extend_short(data, value);
    }
    let rows = text.spans.len();
    if !nulls.is_empty() {
        nulls.resize(rows, false);
        column.nulls = Some(nulls);
    }
    Ok(rows - before)
}

/// Appends what an array holds to an empty column; None if the value is none, or has no dimension.
fn array(
    field: Field<'_>,
    value: &Bound<'_, PyAny>,
    column: &mut Column,
) -> PyResult<Option<usize>> {
    let py = value.py();
    // SAFETY: a plain predicate on a live object.
    let has_buffer = unsafe { ffi::PyObject_CheckBuffer(value.as_ptr()) } != 0;
    let held = if has_buffer {
        value.clone()
    } else if value.hasattr(intern!(py, "__array__"))? {
        value.call_method0(intern!(py, "__array__"))?
    } else {
        return Ok(None);
    };
    // The mask of a masked array is not in its buffer, and times have none.
    let masked = held.hasattr(intern!(py, "mask"))?;
    let buffer = if masked {
        None
    } else {
        PyUntypedBuffer::get(&held).ok()
    };
    let dimensions = match &buffer {
        Some(buffer) => buffer.dimensions(),
        None => held.getattr(intern!(py, "ndim"))?.extract()?,
    };
    match dimensions {
        0 => return Ok(None),
        2.. if !matches!(field.kind, Kind::Json { .. }) => {
            let why = format!("expected an array of one dimension, got one of {dimensions}");
            return Err(refused(field.label, &why));
        }
        _ => {}
    }
    if let (true, Some(buffer)) = (is_numeric(field), &buffer)
        && let Some(number) = number(buffer)
    {
        let numbers = Numbers {
            number,
            first: buffer.buf_ptr().cast(),
            stride: buffer.strides()[0],
            len: buffer.shape()[0],
        };
        // SAFETY: the buffer is that of a live object, and has numbers of this type. No other
        // Python code runs while they are read.
        let read = unsafe { numbers.append(None, &mut column.values) };
        let dtype = || match held.getattr("dtype") {
            Ok(dtype) => dtype.to_string(),
            Err(_) => buffer.format().to_string_lossy().into_owned(),
        };
        return match read {
            Ok(()) => Ok(Some(numbers.len)),
            Err(Misfit::Row(row)) => Err(at_row(row, refused(field.label, lossy(field)), py)),
            Err(Misfit::Type) => Err(other_type(field, &dtype())),
        };
    }
    let Some(list) = value.getattr_opt(intern!(py, "tolist"))? else {
        return Ok(None);
    };
    let list = list.call0()?.cast_into::<PyList>()?;
    objects(field, list.iter(), column, 0).map(Some)
}

/// Why a number cannot be converted to the field's kind.
pub fn lossy(field: Field<'_>) -> &'static str {
    match field.kind {
        Kind::Float => "no float is equal to this int",
        _ => rows::BEYOND,
    }
}

/// The error for a column whose type alone shows that its values do not fit.
#[cold]
pub fn other_type(field: Field<'_>, got: &str) -> PyErr {
    let expected = match field.kind {
        Kind::Str => "str",
        Kind::Bytes => "bytes",
        Kind::Int => "int",
        Kind::Float => "float",
        Kind::Bool => "bool",
        Kind::Json { .. } => "JSON",
        Kind::Via { plain, .. } => match plain {
            Plain::Date => "date",
            Plain::Datetime => "datetime",
            Plain::EnumStr => "Enum` of `str",
            Plain::EnumInt => "Enum` of `int",
        },
    };
    let place = if field.label.is_empty() { "" } else { ": " };
    let label = field.label;
    PyTypeError::new_err(format!(
        "{label}{place}expected `{expected}`, got an array of {got}"
    ))
}

/// The numbers in a buffer, if they are such as this machine reads.
fn number(buffer: &PyUntypedBuffer) -> Option<Number> {
    let native = match buffer.format().to_bytes() {
        [b'<', ..] => cfg!(target_endian = "little"),
        [b'>' | b'!', ..] => cfg!(target_endian = "big"),
        _ => true,
    };
    if !native || buffer.suboffsets().is_some() {
        return None;
    }
    Some(match ElementType::from_format(buffer.format()) {
        ElementType::Bool => Number::Bool,
        ElementType::SignedInteger { bytes: 1 } => Number::I8,
        ElementType::SignedInteger { bytes: 2 } => Number::I16,
        ElementType::SignedInteger { bytes: 4 } => Number::I32,
        ElementType::SignedInteger { bytes: 8 } => Number::I64,
        ElementType::UnsignedInteger { bytes: 1 } => Number::U8,
        ElementType::UnsignedInteger { bytes: 2 } => Number::U16,
        ElementType::UnsignedInteger { bytes: 4 } => Number::U32,
        ElementType::UnsignedInteger { bytes: 8 } => Number::U64,
        ElementType::Float { bytes: 4 } => Number::F32,
        ElementType::Float { bytes: 8 } => Number::F64,
        _ => return None,
    })
}
