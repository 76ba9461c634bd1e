//! Columns from what exports Arrow through capsules. What is read is copied, so that nothing of it has
//! to be kept.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList};

use crate::columns::chunk::Chunk;
use crate::columns::column::Column;
use crate::columns::from_python::{objects, other_type};
use crate::columns::schema::Field;
use crate::value::Kind;

/// Appends an Arrow array, or a stream of them, to an empty column; returns how many rows there are.
pub fn read(field: Field<'_>, value: &Bound<'_, PyAny>, column: &mut Column) -> PyResult<usize> {
    let py = value.py();
    if matches!(field.kind, Kind::Json { .. }) {
        let names = ["to_pylist", "to_list", "tolist"];
        let name = names
            .into_iter()
            .find(|name| value.hasattr(name).unwrap_or(false));
        let name = name.ok_or_else(|| other_type(field, "Arrow"))?;
        let list = value.call_method0(name)?.cast_into::<PyList>()?;
        return objects(field, list.iter(), column, 0);
    }
    if let Some(export) = value.getattr_opt(intern!(py, "__arrow_c_array__"))? {
        let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
            export.call0()?.extract()?;
        // SAFETY: capsules of these names hold these structs, which they release when they go.
        let (schema, array) = unsafe {
            let schema: NonNull<Schema> = schema.pointer_checked(Some(c"arrow_schema"))?.cast();
            let array: NonNull<Array> = array.pointer_checked(Some(c"arrow_array"))?.cast();
            (&*schema.as_ptr(), &*array.as_ptr())
        };
        if schema.release.is_none() || array.is_released() {
            return Err(consumed());
        }
        // SAFETY: the two are alive and belong together.
        unsafe { Chunk::new(py, field, schema, array, 0)? }.append(column)?;
        return Ok(array.len());
    }
    let stream: Bound<'_, PyCapsule> = value
        .call_method0(intern!(py, "__arrow_c_stream__"))?
        .extract()?;
    let stream = stream
        .pointer_checked(Some(c"arrow_array_stream"))?
        .cast::<Stream>()
        .as_ptr();
    let (mut schema, mut rows) = (Schema::empty(), 0);
    // SAFETY: a capsule of this name holds a stream, which it releases when it goes, and all arrays
    // are as its schema says.
    unsafe {
        let check = |status| match status {
            0 => Ok(()),
            _ => Err(Stream::error(stream)),
        };
        if (*stream).release.is_none() {
            return Err(consumed());
        }
        check(((*stream).get_schema)(stream, &mut schema))?;
        loop {
            let mut array = Array::empty();
            check(((*stream).get_next)(stream, &mut array))?;
            if array.is_released() {
                return Ok(rows);
            }
            Chunk::new(py, field, &schema, &array, rows)?.append(column)?;
            rows += array.len();
        }
    }
}

#[cold]
fn consumed() -> PyErr {
    PyValueError::new_err("expected Arrow data, got some that another reader has consumed")
}

/// `struct ArrowArrayStream` of the C stream interface.
#[repr(C)]
struct Stream {
    get_schema: unsafe extern "C" fn(*mut Stream, *mut Schema) -> c_int,
    get_next: unsafe extern "C" fn(*mut Stream, *mut Array) -> c_int,
    get_last_error: unsafe extern "C" fn(*mut Stream) -> *const c_char,
    release: Option<unsafe extern "C" fn(*mut Stream)>,
    private_data: *mut c_void,
}

impl Stream {
    /// # Safety
    /// The stream is alive, and its last call has failed.
    unsafe fn error(stream: *mut Stream) -> PyErr {
        // SAFETY: as the caller promises; the stream says why in a C string, or nothing.
        let why = unsafe {
            let why = ((*stream).get_last_error)(stream);
            (!why.is_null()).then(|| CStr::from_ptr(why).to_string_lossy().into_owned())
        };
        PyValueError::new_err(why.unwrap_or_else(|| "an Arrow stream failed".to_owned()))
    }
}
