//! Writing JSON.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::quote::{write_base64, write_str};
use crate::value::{Integer, Kind, boolean, float, integer, mismatch, raw_bytes, refused, utf8};

/// Writes one field's value by its kind. Bytes are base64, as msgspec reads them.
pub fn write_kind(
    kind: &Kind,
    label: &str,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    match kind {
        Kind::Str => write_str(utf8(label, value)?, out),
        Kind::Bytes => write_base64(raw_bytes(label, value)?, out),
        Kind::Int => write_int(&integer(label, value)?, out),
        Kind::Float => write_float(label, float(label, value)?, out)?,
        Kind::Bool => write_bool(boolean(label, value)?, out),
        Kind::Json { simplify, .. } => match simplify {
            Some(simplify) => write_any(label, &simplify.bind(value.py()).call1((value,))?, out)?,
            None => write_any(label, value, out)?,
        },
        Kind::Via { encode, .. } => {
            write_any(label, &encode.bind(value.py()).call1((value,))?, out)?;
        }
    }
    Ok(())
}

/// Writes whatever JSON can hold, by the value's own type.
pub fn write_any(label: &str, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if value.is_instance_of::<PyString>() {
        write_str(utf8(label, value)?, out);
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if value.is_instance_of::<PyBool>() {
        write_bool(value.is_truthy()?, out);
    } else if value.is_instance_of::<PyInt>() {
        write_int(&integer(label, value)?, out);
    } else if let Ok(number) = value.cast::<PyFloat>() {
        write_float(label, number.value(), out)?;
    } else if let Ok(dict) = value.cast::<PyDict>() {
        out.push(b'{');
        for (i, (key, item)) in dict.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if !key.is_instance_of::<PyString>() {
                return Err(mismatch(
                    label,
                    "str` as the key of a JSON object; it is `str",
                    &key,
                ));
            }
            write_str(utf8(label, &key)?, out);
            out.push(b':');
            write_any(label, &item, out)?;
        }
        out.push(b'}');
    } else if let Ok(list) = value.cast::<PyList>() {
        write_array(label, list.iter(), out)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        write_array(label, tuple.iter(), out)?;
    } else {
        return Err(mismatch(
            label,
            "str, int, float, bool, None, list or dict",
            value,
        ));
    }
    Ok(())
}

fn write_array<'py>(
    label: &str,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_any(label, &item, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn write_int(value: &Integer, out: &mut Vec<u8>) {
    match value {
        Integer::Small(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        }
        Integer::Large(decimal) => out.extend_from_slice(decimal.as_bytes()),
    }
}

fn write_float(label: &str, value: f64, out: &mut Vec<u8>) -> PyResult<()> {
    if !value.is_finite() {
        return Err(refused(
            label,
            &format!("JSON has no {value}; write a `float` field to TXT, or None instead"),
        ));
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    Ok(())
}
