//! Columns from what exports Arrow through capsules. What is read is copied, so that nothing of it has
//! to be kept.

use std::ffi::{CStr, c_char, c_int, c_void};

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
    let mut imports = Imports::open(value)?;
    let mut rows = 0;
    while let Some(array) = imports.next(py)? {
        // SAFETY: the two are alive and belong together.
        unsafe { Chunk::new(py, field, &imports.schema, &array, rows)? }.append(column)?;
        rows += array.len();
    }
    Ok(rows)
}

/// The arrays that an object exports, all as the schema says.
pub struct Imports {
    pub schema: Schema,
    rest: Rest,
}

enum Rest {
    One(Option<Array>),
    Stream(Py<PyCapsule>),
}

impl Imports {
    /// Takes an array or a stream of them.
    pub fn open(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        if let Some(export) = value.getattr_opt(intern!(py, "__arrow_c_array__"))? {
            let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
                export.call0()?.extract()?;
            // SAFETY: capsules of these names hold these structs; what is left there is as after a
            // release, so that nobody releases them twice.
            let (schema, array) = unsafe {
                let schema = schema.pointer_checked(Some(c"arrow_schema"))?.cast();
                let array = array.pointer_checked(Some(c"arrow_array"))?.cast();
                (
                    Schema::from_raw(schema.as_ptr()),
                    Array::from_raw(array.as_ptr()),
                )
            };
            if schema.release.is_none() || array.is_released() {
                return Err(consumed());
            }
            return Ok(Self {
                schema,
                rest: Rest::One(Some(array)),
            });
        }
        let capsule: Bound<'_, PyCapsule> = value
            .call_method0(intern!(py, "__arrow_c_stream__"))?
            .extract()?;
        let stream = stream(&capsule)?;
        let mut schema = Schema::empty();
        // SAFETY: the stream is alive, as it has not been released.
        unsafe {
            if (*stream).release.is_none() {
                return Err(consumed());
            }
            Stream::check(stream, ((*stream).get_schema)(stream, &mut schema))?;
        }
        Ok(Self {
            schema,
            rest: Rest::Stream(capsule.unbind()),
        })
    }

    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<Array>> {
        let capsule = match &mut self.rest {
            Rest::One(array) => return Ok(array.take()),
            Rest::Stream(capsule) => capsule.bind(py),
        };
        let stream = stream(capsule)?;
        let mut array = Array::empty();
        // SAFETY: the stream is alive, as its capsule is, and its owner alone would release it.
        unsafe { Stream::check(stream, ((*stream).get_next)(stream, &mut array))? };
        Ok((!array.is_released()).then_some(array))
    }
}

/// The stream in a capsule of its name, which releases it when it goes.
fn stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<*mut Stream> {
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
    Ok(stream.cast().as_ptr())
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
    /// The stream is alive, and its last call has returned this status.
    unsafe fn check(stream: *mut Stream, status: c_int) -> PyResult<()> {
        match status {
            0 => Ok(()),
            // SAFETY: as the caller promises.
            _ => Err(unsafe { Stream::error(stream) }),
        }
    }

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
