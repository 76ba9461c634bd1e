//! The CSV codec: fields as Python holds them to text, and the row of names that comes first.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::codec::Shape;
use crate::csv_field::write_field;
use crate::json;
use crate::lines::Lines;
use crate::ops::csv::row_fields;
use crate::text;
use crate::value::{Integer, Kind, integer, refused, utf8};

/// Appends one value, as `ParseCsv` reads it.
pub fn write_kind(
    kind: &Kind,
    label: &str,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    match kind {
        Kind::Str => write_field(utf8(label, value)?, out),
        Kind::Via { encode, .. } => {
            let plain = json::converted(encode, label, value)?.str()?;
            write_field(utf8(label, &plain)?, out);
        }
        Kind::Int if matches!(integer(label, value)?, Integer::Large(_)) => {
            return Err(refused(label, "CSV holds ints of 64 bits, got one beyond"));
        }
        Kind::Int | Kind::Float | Kind::Bool => text::write_kind(kind, label, value, out)?,
        Kind::Bytes | Kind::Json { .. } => return Err(refused(label, "CSV holds no such values")),
    }
    Ok(())
}

/// The row of the fields' names, with its line end.
pub fn head(shape: &Shape) -> Vec<u8> {
    let mut out = Vec::new();
    for field in shape.fields() {
        write_field(field.name.as_bytes(), &mut out);
        out.push(b',');
    }
    out.pop();
    out.push(b'\n');
    out
}

/// The names in the first row of CSV, or None if there is no row; blank lines are none.
#[pyfunction]
pub fn csv_header(py: Python<'_>, lines: &Lines, delimiter: char) -> PyResult<Option<Vec<String>>> {
    let mut lines = lines.reader(py)?;
    while let Some((_, row)) = lines.next(py)? {
        if row.is_empty() {
            continue;
        }
        let names = row_fields(delimiter as u8, lines.bytes(row)).map_err(PyValueError::new_err)?;
        let text = |name: Vec<u8>| {
            String::from_utf8(name).map_err(|error| {
                let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
                PyValueError::new_err(format!("expected a name in UTF-8, got {shown:?}"))
            })
        };
        let names = names.into_iter().map(|name| text(name.into_owned()));
        return names.collect::<PyResult<_>>().map(Some);
    }
    Ok(None)
}
