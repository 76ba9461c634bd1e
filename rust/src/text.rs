//! The text codec: tab-separated fields with backslash escapes, after the text format of
//! PostgreSQL's COPY. `\N` is None; bytes outside printable ASCII are `\xHH`.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

use crate::json;
use crate::value::{Integer, Kind, boolean, float, integer, mismatch, raw_bytes, refused, utf8};

pub const NULL: &[u8] = b"\\N";

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
            out.extend_from_slice(if boolean(label, value)? { b"true" } else { b"false" });
        }
        Kind::Json { .. } => {
            let mut json = Vec::new();
            json::write_kind(kind, label, value, &mut json)?;
            escape(&json, out);
        }
        Kind::Via { encode, .. } => {
            let text = encode.bind(value.py()).call1((value,))?.str()?;
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
        refused(label, &format!("expected `{expected}`, got {:?}", String::from_utf8_lossy(field)))
    };
    Ok(match kind {
        Kind::Str => match unescape(label, field)? {
            Some(text) => decode_utf8(py, &text)?,
            None => decode_utf8(py, field)?,
        },
        Kind::Bytes => match unescape(label, field)? {
            Some(bytes) => PyBytes::new(py, &bytes).into_any(),
            None => PyBytes::new(py, field).into_any(),
        },
        Kind::Int => match parse_int(field) {
            Some(value) => value.into_pyobject(py)?.into_any(),
            None => read_large_int(py, field).ok_or_else(|| bad("int"))?,
        },
        Kind::Float => {
            let text = str::from_utf8(field).map_err(|_| bad("float"))?;
            let value = text.parse::<f64>().map_err(|_| bad("float"))?;
            PyFloat::new(py, value).into_any()
        }
        Kind::Bool => match field {
            b"true" => PyBool::new(py, true).to_owned().into_any(),
            b"false" => PyBool::new(py, false).to_owned().into_any(),
            _ => return Err(bad("bool")),
        },
        Kind::Json { decode, .. } => {
            let json = match unescape(label, field)? {
                Some(json) => PyBytes::new(py, &json),
                None => PyBytes::new(py, field),
            };
            decode.bind(py).call1((json,))?
        }
        Kind::Via { decode, .. } => {
            let text = match unescape(label, field)? {
                Some(text) => decode_utf8(py, &text)?,
                None => decode_utf8(py, field)?,
            };
            decode.bind(py).call1((text,))?
        }
    })
}

pub fn decode_utf8<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
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

/// Decimal digits with an optional minus that fit an i64; anything else is for the slow path.
fn parse_int(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// `int(text)`, so that ` 12 `, `+5` and hundreds of digits are read as Python reads them.
fn read_large_int<'py>(py: Python<'py>, field: &[u8]) -> Option<Bound<'py, PyAny>> {
    let text = PyString::new(py, str::from_utf8(field).ok()?);
    py.get_type::<PyInt>().call1((text,)).ok()
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut done = 0;
    for (i, &byte) in text.iter().enumerate() {
        let letter = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            _ => continue,
        };
        out.extend_from_slice(&text[done..i]);
        out.extend_from_slice(&[b'\\', letter]);
        done = i + 1;
    }
    out.extend_from_slice(&text[done..]);
}

fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(&[
                b'\\',
                b'x',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
}

/// The field without its escapes, or None where it has none and can be used as it stands.
fn unescape(label: &str, field: &[u8]) -> PyResult<Option<Vec<u8>>> {
    if memchr::memchr(b'\\', field).is_none() {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
        match bytes.next() {
            Some(b'\\') => out.push(b'\\'),
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'x') => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
                _ => return Err(refused(label, "expected two hexadecimal digits after `\\x`")),
            },
            Some(b'N') => return Err(refused(label, "expected a value, got `\\N` (None)")),
            other => {
                let got = other.map_or("the end".into(), |&byte| char::from(byte).to_string());
                return Err(refused(label, &format!("unknown escape: a backslash before {got}")));
            }
        }
    }
    Ok(Some(out))
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
        Kind::Json { decode, .. } => decode.bind(py).call1((PyBytes::new(py, line),)),
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
    let text = record.call_method0(pyo3::intern!(record.py(), "to_text"))?;
    if !text.is_instance_of::<PyString>() {
        return Err(mismatch("to_text()", "str", &text));
    }
    bare_line(utf8("to_text()", &text)?, out)
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_bytes, parse_int, unescape};

    #[test]
    fn escapes_come_back() {
        for text in ["", "plain", "a\tb\\c\nd\re", "\\N", "é\u{10ffff}"] {
            let mut out = Vec::new();
            escape(text.as_bytes(), &mut out);
            assert!(!out.contains(&b'\t') && !out.contains(&b'\n'));
            let back = unescape("f", &out).unwrap().unwrap_or(out);
            assert_eq!(back, text.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        escape_bytes(&all, &mut out);
        assert!(out.is_ascii());
        assert_eq!(unescape("f", &out).unwrap().unwrap(), all);
    }

    #[test]
    fn ints_of_18_digits_are_fast() {
        assert_eq!(parse_int(b"-999999999999999999"), Some(-999_999_999_999_999_999));
        for slow in [&b""[..], b"-", b"+5", b"1_0", b"9223372036854775808"] {
            assert_eq!(parse_int(slow), None);
        }
    }
}
