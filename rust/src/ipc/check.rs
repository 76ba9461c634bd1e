//! Whether the columns of a table are those of a record.

use arrow_data::ArrayData;
use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::DataType;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::codec::{Codec, Shape};
use crate::columns::arrow::invalid;
use crate::columns::chunk::Chunk;
use crate::columns::rows;
use crate::columns::schema::Field;

/// The columns of a table that hold the fields of a record, in their order, by name.
///
/// # Errors
/// `ValueError` that names each field without a column, or with one of another type.
pub fn columns(py: Python<'_>, shape: &Shape, schema: &Schema) -> PyResult<Vec<usize>> {
    if schema.format() != "+s" {
        let got = schema.format();
        let why = format!("expected a table of records, got an Arrow array of format {got:?}");
        return Err(PyValueError::new_err(why));
    }
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for field in shape.fields() {
        let named = |child: &&Schema| child.name() == Some(field.name);
        let count = schema.children().filter(named).count();
        match schema.children().position(|child| named(&child)) {
            Some(index) if count == 1 => {
                if let Err(error) = check(py, field, schema.child(index)) {
                    wrong.push(error.value(py).to_string());
                }
                found.push(index);
            }
            _ => {
                let got = if count == 0 { "none" } else { "several" };
                let names = schema.children().filter_map(Schema::name);
                let there = names.collect::<Vec<_>>().join(", ");
                wrong.push(format!(
                    "expected a column `{}`, got {got}; there is {there}",
                    field.name
                ));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(found);
    }
    Err(PyValueError::new_err(wrong.join("; ")))
}

/// Converts no rows of a type.
fn check(py: Python<'_>, field: Field<'_>, schema: &Schema) -> PyResult<()> {
    let data_type = DataType::try_from(schema).map_err(invalid)?;
    let array = Array::new(&ArrayData::new_empty(&data_type));
    // SAFETY: the array is of the schema's type.
    let chunk = unsafe { Chunk::new(py, field, schema, &array, 0)? };
    chunk.append(&mut rows::empty(field.kind))
}

/// Refuses a schema (what exports one through a capsule) whose columns are not those of the codec's
/// records.
#[pyfunction]
pub fn check_arrow(schema: &Bound<'_, PyAny>, codec: &Codec) -> PyResult<()> {
    let py = schema.py();
    let capsule: Bound<'_, PyCapsule> = schema
        .call_method0(intern!(py, "__arrow_c_schema__"))?
        .extract()?;
    let schema = capsule.pointer_checked(Some(c"arrow_schema"))?.cast();
    // SAFETY: a capsule of this name holds a schema, and releases it when it goes.
    let schema: &Schema = unsafe { schema.as_ref() };
    columns(py, &codec.shape, schema).map(drop)
}
