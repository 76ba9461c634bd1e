//! Writing JSON.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::quote::{write_base64, write_str};
use crate::value::{
    Integer, Kind, boolean, explained, float, integer, mismatch, raw_bytes, refused, utf8,
};

/// Nesting that every reader takes; a value that contains itself ends here as well.
const MAX_DEPTH: u32 = 400;
/// Python's limit for reading ints is 4300 digits, msgspec's counts the sign.
const MAX_DIGITS: usize = 4299;

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
        Kind::Int => write_int(label, &integer(label, value)?, out)?,
        Kind::Float => write_float(label, float(label, value)?, out)?,
        Kind::Bool => write_bool(boolean(label, value)?, out),
        Kind::Json { simplify: None, .. } => write_any(label, value, out)?,
        Kind::Json {
            simplify: Some(simplify),
            ..
        } => {
            write_any(label, &converted(simplify, label, value)?, out)?;
        }
        Kind::Via { to_json, .. } => write_any(label, &converted(to_json, label, value)?, out)?,
    }
    Ok(())
}

/// What a conversion in Python makes of a value.
pub fn converted<'py>(
    function: &Py<PyAny>,
    label: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let converted = function.bind(py).call1((value,));
    converted.map_err(|error| explained(label, error, py))
}

/// Writes whatever JSON can hold, by the value's own type.
pub fn write_any(label: &str, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    write_nested(label, value, out, MAX_DEPTH)
}

fn write_nested(
    label: &str,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: u32,
) -> PyResult<()> {
    if value.is_instance_of::<PyString>() {
        write_str(utf8(label, value)?, out);
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if value.is_instance_of::<PyBool>() {
        write_bool(value.is_truthy()?, out);
    } else if value.is_instance_of::<PyInt>() {
        write_int(label, &integer(label, value)?, out)?;
    } else if let Ok(number) = value.cast::<PyFloat>() {
        write_float(label, number.value(), out)?;
    } else if let Ok(dict) = value.cast::<PyDict>() {
        let depth = deeper(label, depth)?;
        out.push(b'{');
        for (i, (key, item)) in dict.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if !key.is_instance_of::<PyString>() {
                let which = if label.is_empty() {
                    String::new()
                } else {
                    format!("{label}, ")
                };
                return Err(mismatch(
                    &format!("{which}the key of a JSON object"),
                    "str",
                    &key,
                ));
            }
            write_str(utf8(label, &key)?, out);
            out.push(b':');
            write_nested(label, &item, out, depth)?;
        }
        out.push(b'}');
    } else if let Ok(list) = value.cast::<PyList>() {
        write_array(label, list.iter(), out, deeper(label, depth)?)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        write_array(label, tuple.iter(), out, deeper(label, depth)?)?;
    } else {
        return Err(mismatch(
            label,
            "str, int, float, bool, None, list or dict",
            value,
        ));
    }
    Ok(())
}

fn deeper(label: &str, depth: u32) -> PyResult<u32> {
    depth.checked_sub(1).ok_or_else(|| {
        refused(
            label,
            &format!("expected JSON of at most {MAX_DEPTH} levels, got more"),
        )
    })
}

fn write_array<'py>(
    label: &str,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    out: &mut Vec<u8>,
    depth: u32,
) -> PyResult<()> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_nested(label, &item, out, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn write_int(label: &str, value: &Integer, out: &mut Vec<u8>) -> PyResult<()> {
    match value {
        Integer::Small(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
        }
        Integer::Large(decimal) if decimal.len() > MAX_DIGITS => {
            let why = format!("expected an int of at most {MAX_DIGITS} characters in JSON");
            return Err(refused(label, &why));
        }
        Integer::Large(decimal) => out.extend_from_slice(decimal.as_bytes()),
    }
    Ok(())
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
