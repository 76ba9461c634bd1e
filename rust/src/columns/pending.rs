//! Records on their way into columns.

use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::codec::Shape;
use crate::columns::column::{Batch, Values};
use crate::columns::{from_python, rows};

pub struct Pending(Batch);

impl Pending {
    pub fn new(shape: &Shape) -> Self {
        Self(Batch {
            rows: 0,
            columns: rows::builder(shape),
            origin: None,
        })
    }

    pub fn rows(&self) -> usize {
        self.0.rows
    }

    /// How long all texts are.
    pub fn text_bytes(&self) -> usize {
        let texts = self.0.columns.iter().map(|column| match &column.values {
            Values::Text(text) => text.data.len(),
            _ => 0,
        });
        texts.sum()
    }

    /// Adds a record whose shape has been checked. If it cannot be added, nothing is.
    #[inline]
    pub fn push(&mut self, shape: &Shape, record: &Bound<'_, PyAny>) -> PyResult<()> {
        rows::append(shape, record, &mut self.0.columns, self.0.rows)?;
        self.0.rows += 1;
        Ok(())
    }

    /// Adds the rows of lists and single values; false, and nothing is added, if there are others.
    pub fn push_lists(&mut self, shape: &Shape, given: &Bound<'_, PyDict>) -> PyResult<bool> {
        let rows = from_python::append(shape, given, &mut self.0.columns, self.0.rows)?;
        self.0.rows += rows.unwrap_or(0);
        Ok(rows.is_some())
    }

    /// Adds rows of a batch that is stored alike.
    pub fn extend(&mut self, from: &Batch, rows: Range<usize>) {
        self.0.extend(from, rows);
    }

    /// All that has been added; this starts anew.
    pub fn take(&mut self, shape: &Shape) -> Batch {
        std::mem::replace(self, Self::new(shape)).0
    }

    /// Lends all that has been added to a function, and starts anew, with the same memory where
    /// nobody else has come to hold it.
    pub fn lend<T>(&mut self, shape: &Shape, to: impl FnOnce(&Batch) -> T) -> T {
        let result = to(&self.0);
        self.0.rows = 0;
        if self.0.columns.iter_mut().any(|column| !column.clear()) {
            self.0.columns = rows::builder(shape);
        }
        result
    }
}
