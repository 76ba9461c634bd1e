//! The columns of a record in a batch of Arrow's, and batches of records from them.

use std::ops::Range;

use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;
use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::chunk::Chunk;
use crate::columns::column::{Batch, Origin};
use crate::columns::memory::text_bytes;
use crate::columns::rows;

/// Records become columns so many at a time, or as many as have so much text.
const ROWS: usize = 8192;
const TEXT_BYTES: usize = 16 << 20;

/// Rows whose columns are told by schemas that are not part of it.
pub struct Part {
    pub rows: usize,
    /// Where the rows begin in the columns besides their own offsets.
    offset: usize,
    arrays: Arrays,
}

enum Arrays {
    /// The columns alone.
    Decoded(Vec<Array>),
    /// A struct, and which of its children the columns are.
    Imported(Array, Vec<usize>),
}

impl Part {
    pub fn decoded(rows: usize, arrays: Vec<Array>) -> Self {
        Self {
            rows,
            offset: 0,
            arrays: Arrays::Decoded(arrays),
        }
    }

    pub fn imported(array: Array, columns: Vec<usize>) -> Self {
        Self {
            rows: array.len(),
            offset: array.offset(),
            arrays: Arrays::Imported(array, columns),
        }
    }

    fn column(&self, i: usize) -> &Array {
        match &self.arrays {
            Arrays::Decoded(arrays) => &arrays[i],
            Arrays::Imported(array, columns) => array.child(columns[i]),
        }
    }

    /// How many rows should become a batch together.
    ///
    /// # Safety
    /// The schemas are those of the columns.
    pub unsafe fn step(&self, schemas: &[Schema]) -> usize {
        let schemas = schemas.iter().enumerate();
        // SAFETY: as the caller promises; the arrays live as long as the part.
        let texts = schemas.map(|(i, schema)| unsafe { text_bytes(schema, self.column(i)) });
        let per_row = texts.sum::<usize>() / self.rows.max(1);
        (TEXT_BYTES / per_row.max(1)).clamp(1, ROWS)
    }

    /// Some rows, of which the first is number `number` of its input.
    ///
    /// # Safety
    /// The schemas are those of the columns.
    pub unsafe fn batch(
        &self,
        py: Python<'_>,
        shape: &Shape,
        schemas: &[Schema],
        rows: Range<usize>,
        number: u64,
    ) -> PyResult<Batch> {
        let columns = shape.fields().enumerate().map(|(i, field)| {
            let (schema, array) = (&schemas[i], self.column(i));
            let first = array.offset() + self.offset + rows.start;
            let range = first..first + rows.len();
            let mut column = rows::empty(field.kind);
            // SAFETY: as the caller promises; a struct's children have at least its rows.
            let chunk =
                unsafe { Chunk::part(py, field, schema, array, range, 0, number as usize)? };
            chunk.append(&mut column)?;
            Ok(column)
        });
        Ok(Batch {
            rows: rows.len(),
            columns: columns.collect::<PyResult<_>>()?,
            origin: Some(Origin::Rows {
                first: number,
                picked: None,
            }),
        })
    }
}
