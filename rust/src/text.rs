//! The text codec: tab-separated fields with backslash escapes, after the text format of
//! PostgreSQL's COPY. `\N` is None; bytes outside printable ASCII are `\xHH`.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

use crate::escape::{escape, escape_bytes, parse_int, unescape};
use crate::json;
use crate::profile;
use crate::value::{
    Integer, Kind, ascii, boolean, exact_small, explained, float, integer, mismatch, raw_bytes,
    refused, utf8,
};

pub const NULL: &[u8] = b"\\N";

const SHORT: usize = 64;
/// How much of a bad value a message shows.
const SHOWN: usize = 60;

/// Writes the commonest values, ASCII text and ints of the machine's size; false if it is another.
#[inline]
pub fn write_common(kind: &Kind, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::Str => ascii(value).is_some_and(|text| {
            escape(text, out);
            true
        }),
        Kind::Int => exact_small(value).is_some_and(|int| {
            out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
            true
        }),
        _ => false,
    }
}

/// Appends one value with everything escaped that would end a field or a line.
pub fn write_kind(
    kind: &Kind,
    label: &str,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    match kind {
        Kind::Str => escape(utf8(label, value)?, out),
        Kind::Bytes => escape_bytes(raw_bytes(label, value)?, out),
        Kind::Int => match integer(label, value)? {
            Integer::Small(value) => {
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Integer::Large(decimal) => out.extend_from_slice(decimal.as_bytes()),
        },
        Kind::Float => {
            out.extend_from_slice(zmij::Buffer::new().format(float(label, value)?).as_bytes());
        }
        Kind::Bool => {
            out.extend_from_slice(if boolean(label, value)? {
                b"true"
            } else {
                b"false"
            });
        }
        Kind::Json { .. } => {
            let mut json = Vec::new();
            json::write_kind(kind, label, value, &mut json)?;
            escape(&json, out);
        }
        Kind::Via { encode, .. } => {
            let text = json::converted(encode, label, value)?.str()?;
            escape(utf8(label, &text)?, out);
        }
    }
    Ok(())
}

/// Reads one value of a field: the inverse of `write_kind`.
pub fn read_kind<'py>(
    py: Python<'py>,
    kind: &Kind,
    label: &str,
    field: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let bad = |expected: &str| {
        let start = String::from_utf8_lossy(&field[..field.len().min(SHOWN)]);
        let more = if field.len() > SHOWN { "..." } else { "" };
        refused(
            label,
            &format!("expected `{expected}`, got {start:?}{more}"),
        )
    };
    let plain = || unescape(field).map_err(|why| refused(label, &why));
    let value = match kind {
        Kind::Str => decode_utf8(py, &plain()?),
        Kind::Bytes => Ok(PyBytes::new(py, &plain()?).into_any()),
        Kind::Int => match parse_int(field) {
            Some(value) => Ok(value.into_pyobject(py)?.into_any()),
            None => read_large_int(py, field).ok_or_else(|| bad("int")),
        },
        Kind::Float => {
            let text = str::from_utf8(field).map_err(|_| bad("float"))?;
            let value = text.parse::<f64>().map_err(|_| bad("float"))?;
            Ok(PyFloat::new(py, value).into_any())
        }
        Kind::Bool => match field {
            b"true" => Ok(PyBool::new(py, true).to_owned().into_any()),
            b"false" => Ok(PyBool::new(py, false).to_owned().into_any()),
            _ => return Err(bad("bool")),
        },
        Kind::Json { decode, .. } => decode.bind(py).call1((PyBytes::new(py, &plain()?),)),
        Kind::Via { decode, .. } => match decode_utf8(py, &plain()?) {
            Ok(text) => decode.bind(py).call1((text,)),
            error => error,
        },
    };
    match value {
        Err(error) if matches!(kind, Kind::Str | Kind::Json { .. } | Kind::Via { .. }) => {
            Err(explained(label, error, py))
        }
        value => value,
    }
}

pub fn decode_utf8<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // CPython's decoder takes twice as long for a short ASCII text, which most fields are.
    if (1..=SHORT).contains(&text.len()) && text.is_ascii() {
        // SAFETY: a new str of ASCII has room for exactly these bytes, and nobody else has seen
        // it yet; null comes with an exception set.
        unsafe {
            let str = ffi::PyUnicode_New(text.len().cast_signed(), 127);
            let str = Bound::from_owned_ptr_or_err(py, str)?;
            let data = ffi::PyUnicode_DATA(str.as_ptr()).cast::<u8>();
            data.copy_from_nonoverlapping(text.as_ptr(), text.len());
            return Ok(str);
        }
    }
    // SAFETY: pointer and length are those of a live slice; null comes with an exception set.
    unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyUnicode_DecodeUTF8(
                text.as_ptr().cast(),
                text.len().cast_signed(),
                std::ptr::null(),
            ),
        )
    }
}

/// `int(text)`, so that ` 12 `, `+5` and hundreds of digits are read as Python reads them.
fn read_large_int<'py>(py: Python<'py>, field: &[u8]) -> Option<Bound<'py, PyAny>> {
    let text = PyString::new(py, str::from_utf8(field).ok()?);
    py.get_type::<PyInt>().call1((text,)).ok()
}

/// A whole record that is one value: `str` and `bytes` as they are, the others as in a field.
pub fn write_bare(kind: &Kind, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    match kind {
        Kind::Str => bare_line(utf8("", value)?, out),
        Kind::Bytes => bare_line(raw_bytes("", value)?, out),
        Kind::Json { .. } => json::write_kind(kind, "", value, out),
        _ => write_kind(kind, "", value, out),
    }
}

pub fn read_bare<'py>(py: Python<'py>, kind: &Kind, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        Kind::Str => decode_utf8(py, line),
        Kind::Bytes => Ok(PyBytes::new(py, line).into_any()),
        Kind::Json { decode, .. } => {
            let read = decode.bind(py).call1((PyBytes::new(py, line),));
            read.map_err(|error| explained("", error, py))
        }
        _ => read_kind(py, kind, "", line),
    }
}

/// # Errors
/// `ValueError` where the text would come back as two records.
pub fn bare_line(text: &[u8], out: &mut Vec<u8>) -> PyResult<()> {
    if memchr::memchr(b'\n', text).is_some() {
        return Err(PyValueError::new_err(
            "a record holds a newline, and TXT writes it as it is, one record a line; \
             write JSONL, or a class with a field (its text is escaped)",
        ));
    }
    out.extend_from_slice(text);
    Ok(())
}

/// A class's own `to_text`.
pub fn write_own(record: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let text = {
        let _users = profile::users();
        record.call_method0(pyo3::intern!(record.py(), "to_text"))?
    };
    if !text.is_instance_of::<PyString>() {
        return Err(mismatch("to_text()", "str", &text));
    }
    bare_line(utf8("to_text()", &text)?, out)
}
