//! The kinds of value a field can hold, and reading them from Python objects.

use pyo3::exceptions::{PyException, PyRecursionError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};

/// How one field (or a whole record that is a single value) is written.
pub enum Kind {
    Str,
    Bytes,
    Int,
    Float,
    Bool,
    /// JSON text. `simplify` turns a value into str, int, float, bool, None, list and dict;
    /// `decode` makes the typed value from JSON bytes.
    Json {
        simplify: Option<Py<PyAny>>,
        decode: Py<PyAny>,
    },
    /// The str or int that `encode` returns (in JSON, `to_json`), and back by `decode`: datetimes,
    /// enums.
    Via {
        encode: Py<PyAny>,
        to_json: Py<PyAny>,
        decode: Py<PyAny>,
        plain: Plain,
    },
}

/// What a `Via` value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    Date,
    Datetime,
    EnumStr,
    EnumInt,
}

impl Kind {
    /// Reads the kind from an object with attributes `kind`, `encode` and `decode`.
    pub fn from_python(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name: String = spec.getattr("kind")?.extract()?;
        Ok(match name.as_str() {
            "str" => Kind::Str,
            "bytes" => Kind::Bytes,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "bool" => Kind::Bool,
            "json" => Kind::Json {
                simplify: spec.getattr("encode")?.extract()?,
                decode: spec.getattr("decode")?.unbind(),
            },
            "via" => Kind::Via {
                encode: spec.getattr("encode")?.unbind(),
                to_json: spec.getattr("to_json")?.unbind(),
                decode: spec.getattr("decode")?.unbind(),
                plain: match spec.getattr("plain")?.extract::<String>()?.as_str() {
                    "date" => Plain::Date,
                    "datetime" => Plain::Datetime,
                    "enum_int" => Plain::EnumInt,
                    _ => Plain::EnumStr,
                },
            },
            other => return Err(PyValueError::new_err(format!("unknown kind `{other}`"))),
        })
    }
}

/// The error for a value of the wrong type. `label` says of which part of the record, such as
/// "field `count`"; it is empty for a whole record.
#[cold]
pub fn mismatch(label: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let got = match value.get_type().qualname() {
        Ok(name) => short_name(&name.to_string_lossy()),
        Err(error) => return error,
    };
    PyTypeError::new_err(format!(
        "{}expected `{expected}`, got `{got}`",
        place(label)
    ))
}

/// The error for a value of the right type that cannot be written or read.
#[cold]
pub fn refused(label: &str, why: &str) -> PyErr {
    PyValueError::new_err(format!("{}{why}", place(label)))
}

/// An error of a conversion in Python, with the part of the record that it is about. That something is
/// nested too deeply is told as an error of the value.
#[cold]
pub fn explained(label: &str, error: PyErr, py: Python<'_>) -> PyErr {
    let plain = label.is_empty() && !error.is_instance_of::<PyRecursionError>(py);
    if plain || !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let what = format!("{}{}", place(label), error.value(py));
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(what)
    } else {
        PyValueError::new_err(what)
    }
}

/// A class's name as its author knows it, without the functions that it is defined in.
pub fn short_name(qualname: &str) -> String {
    qualname
        .rsplit("<locals>.")
        .next()
        .unwrap_or(qualname)
        .to_owned()
}

fn place(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!("{label}: ")
    }
}

/// The text of a str that is ASCII, which most are, without a call into Python.
#[inline]
pub fn ascii<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let str = value.as_ptr();
    // SAFETY: the checks show a compact ASCII str, whose characters stand as bytes at its data and
    // live as long as it does.
    unsafe {
        if ffi::PyUnicode_CheckExact(str) == 0 || ffi::PyUnicode_IS_COMPACT_ASCII(str) == 0 {
            return None;
        }
        let length = ffi::PyUnicode_GET_LENGTH(str).unsigned_abs();
        Some(std::slice::from_raw_parts(
            ffi::PyUnicode_DATA(str).cast(),
            length,
        ))
    }
}

/// The value of an int (not of a subclass) of the machine's size.
#[inline]
pub fn exact_small(value: &Bound<'_, PyAny>) -> Option<i64> {
    // SAFETY: a plain predicate on a live object.
    let exact = unsafe { ffi::PyLong_CheckExact(value.as_ptr()) } != 0;
    if exact { small(value) } else { None }
}

/// The UTF-8 bytes of a str.
pub fn utf8<'a>(label: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    let Ok(text) = value.cast::<PyString>() else {
        return Err(mismatch(label, "str", value));
    };
    match text.to_str() {
        Ok(text) => Ok(text.as_bytes()),
        Err(_) => Err(refused(
            label,
            "the str holds lone surrogates, which have no UTF-8 form; use bytes for such data",
        )),
    }
}

pub fn raw_bytes<'a>(label: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes()),
        Err(_) => Err(mismatch(label, "bytes", value)),
    }
}

/// An int of the machine's size, or the decimal text of a larger one.
pub enum Integer {
    Small(i64),
    Large(String),
}

/// Takes int, bool and whatever has `__index__` (NumPy integers).
pub fn integer(label: &str, value: &Bound<'_, PyAny>) -> PyResult<Integer> {
    if !value.is_instance_of::<PyInt>() {
        // SAFETY: a plain predicate on a live object.
        if unsafe { ffi::PyIndex_Check(value.as_ptr()) } == 0 {
            return Err(mismatch(label, "int", value));
        }
        // SAFETY: returns a new reference or null with an exception set.
        let index = unsafe {
            Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_Index(value.as_ptr()))?
        };
        return integer(label, &index);
    }
    match small(value) {
        Some(int) => Ok(Integer::Small(int)),
        None => {
            // SAFETY: a new reference, or null with an exception set. It is int's own text, so that
            // a subclass (an IntEnum) is written as the number.
            let decimal = unsafe {
                Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_ToBase(value.as_ptr(), 10))
            };
            let decimal =
                decimal.map_err(|error| refused(label, &error.value(value.py()).to_string()))?;
            Ok(Integer::Large(decimal.extract()?))
        }
    }
}

/// The value of an int of the machine's size.
pub fn small(int: &Bound<'_, PyAny>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: `int` is an int, so that the call cannot fail.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &mut overflow) };
    (overflow == 0).then_some(value)
}

pub fn float(label: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(float.value());
    }
    if value.is_instance_of::<PyInt>() {
        let float = value.extract::<f64>().ok();
        let exact = float.filter(|&float| value.eq(float).unwrap_or(false));
        return exact.ok_or_else(|| refused(label, "no float is equal to this int"));
    }
    Err(mismatch(label, "float", value))
}

pub fn boolean(label: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.extract().map_err(|_| mismatch(label, "bool", value))
}
