//! The kinds of value a field can hold, and reading them from Python objects.

use pyo3::exceptions::{PyTypeError, PyValueError};
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
    /// The str or int that `encode` returns, and back by `decode` (datetimes, enums).
    Via {
        encode: Py<PyAny>,
        decode: Py<PyAny>,
    },
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
                decode: spec.getattr("decode")?.unbind(),
            },
            other => return Err(PyValueError::new_err(format!("unknown kind `{other}`"))),
        })
    }
}

/// The error for a value of the wrong type; `label` is empty for a whole record.
#[cold]
pub fn mismatch(label: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let got = match value.get_type().qualname() {
        Ok(name) => name.to_string(),
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

fn place(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!("field `{label}`: ")
    }
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
    let mut overflow = 0;
    // SAFETY: `value` is an int; -1 with an exception set cannot happen for one.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &mut overflow) };
    if overflow == 0 {
        return Ok(Integer::Small(small));
    }
    // SAFETY: int's own repr, so that a subclass (an IntEnum) is written as the number.
    let decimal = unsafe {
        Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_ToBase(value.as_ptr(), 10))?
    };
    Ok(Integer::Large(decimal.extract()?))
}

pub fn float(label: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(float.value());
    }
    if value.is_instance_of::<PyInt>() {
        return value.extract();
    }
    Err(mismatch(label, "float", value))
}

pub fn boolean(label: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.extract().map_err(|_| mismatch(label, "bool", value))
}
