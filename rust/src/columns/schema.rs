//! The columns of a shape.

use pyo3::prelude::*;

use crate::codec::Shape;
use crate::value::Kind;

/// What a column holds.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub name: &'a str,
    /// The field in messages, as for its values in records; empty for a whole record.
    pub label: &'a str,
    pub kind: &'a Kind,
    pub optional: bool,
}

impl Shape {
    /// The columns of records of this shape: one for every field, or one named `value`.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        (0..self.width()).map(|i| self.field(i))
    }

    pub fn width(&self) -> usize {
        match self {
            Shape::Value(_) => 1,
            Shape::Class(class) => class.fields.len(),
        }
    }

    pub fn field(&self, i: usize) -> Field<'_> {
        match self {
            Shape::Value(kind) => Field {
                name: "value",
                label: "",
                kind,
                optional: false,
            },
            Shape::Class(class) => {
                let field = &class.fields[i];
                Field {
                    name: &field.title,
                    label: &field.label,
                    kind: &field.kind,
                    optional: field.optional,
                }
            }
        }
    }

    /// The value of a field in a record that `check` has passed.
    pub fn get<'py>(&self, record: &Bound<'py, PyAny>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Shape::Value(_) => Ok(record.clone()),
            Shape::Class(class) => class.get(record, i),
        }
    }
}
