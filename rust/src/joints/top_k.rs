//! The records with the largest values.

use std::cmp::Ordering;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::{Batch, Column, Values};
use crate::columns::rows;
use crate::groups::keys::moment;
use crate::joints::empty;
use crate::value::{Kind, Plain};

const LARGEST: usize = 3 << 30;

pub struct TopK {
    count: usize,
    by: usize,
    largest: bool,
    moments: bool,
    kept: Batch,
}

impl TopK {
    pub fn new(shape: &Shape, count: usize, by: usize, largest: bool) -> Self {
        let moments = matches!(
            shape.field(by).kind,
            Kind::Via {
                plain: Plain::Datetime,
                ..
            }
        );
        Self {
            count,
            by,
            largest,
            moments,
            kept: empty(rows::builder(shape)),
        }
    }

    pub fn push(&mut self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        has_room(&self.kept, batch)?;
        py.detach(|| self.add(batch));
        Ok(())
    }

    fn add(&mut self, batch: &Batch) {
        self.kept.extend(batch, 0..batch.rows);
        if self.kept.rows > 4 * self.count + 8192 {
            let best = self.best();
            self.kept
                .columns
                .iter_mut()
                .for_each(|column| *column = column.empty_like());
            self.kept.rows = 0;
            self.kept.extend(&best, 0..best.rows);
        }
    }

    /// None is behind everything else.
    pub fn best(&self) -> Batch {
        let column = &self.kept.columns[self.by];
        let order = |&a: &u32, &b: &u32| {
            let (a, b) = (a as usize, b as usize);
            let none = column.is_null(a).cmp(&column.is_null(b));
            none.then_with(|| match &column.values {
                Values::Int(_) | Values::Same(_) => column.int(a).cmp(&column.int(b)),
                Values::Float(floats) => floats[a].total_cmp(&floats[b]),
                Values::Bool(bools) => bools[a].cmp(&bools[b]),
                Values::Text(text) if self.moments => moment(text.get(a))
                    .cmp(&moment(text.get(b)))
                    .then_with(|| text.get(a).cmp(text.get(b))),
                Values::Text(text) => text.get(a).cmp(text.get(b)),
            })
        };
        let directed = |a: &u32, b: &u32| {
            let none = column.is_null(*a as usize) || column.is_null(*b as usize);
            let ascending: Ordering = order(a, b);
            if self.largest && !none {
                ascending.reverse()
            } else {
                ascending
            }
        };
        let mut rows: Vec<u32> = (0..self.kept.rows as u32).collect();
        if self.count < rows.len() {
            rows.select_nth_unstable_by(self.count, directed);
            rows.truncate(self.count);
        }
        self.kept.gather(&rows)
    }
}

/// # Errors
/// `OverflowError` where a column would get more text than one can hold.
fn has_room(kept: &Batch, more: &Batch) -> PyResult<()> {
    let held = |column: &Column| match &column.values {
        Values::Text(text) => text.data.len(),
        _ => 0,
    };
    let held = kept.columns.iter().map(held).max().unwrap_or(0);
    if held + more.text_bytes() > LARGEST {
        return Err(PyOverflowError::new_err(
            "more than 3 GiB of text have to be held for this shard; use more shards",
        ));
    }
    Ok(())
}
