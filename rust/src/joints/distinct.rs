//! The first record of each key goes out as soon as it is seen.

use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::Batch;
use crate::context::Context;
use crate::groups::keys::Keys;
use crate::joints::by_key::Held;
use crate::joints::{columns_of, keys_of};

pub struct Distinct {
    keys: Vec<usize>,
    seen: Keys,
    groups: Vec<u32>,
}

impl Distinct {
    pub fn new(shape: &Shape, keys: Vec<usize>) -> Self {
        Self {
            seen: keys_of(shape, &keys, false),
            keys,
            groups: Vec::new(),
        }
    }

    /// The rows whose key was not there before.
    fn first_rows(&mut self, batch: &Batch) -> Vec<u32> {
        let mut known = self.seen.len() as u32;
        let columns = columns_of(batch, &self.keys);
        self.seen.assign(&columns, batch.rows, &mut self.groups);
        let mut rows = Vec::new();
        for (row, &group) in (0..).zip(&self.groups) {
            if group == known {
                rows.push(row);
                known += 1;
            }
        }
        rows
    }

    /// The rows whose key is not there.
    fn other_rows(&self, batch: &Batch) -> Vec<u32> {
        let mut groups = Vec::new();
        let columns = columns_of(batch, &self.keys);
        self.seen.look_up(&columns, batch.rows, &mut groups);
        let rows = (0..).zip(groups).filter(|(_, group)| group.is_none());
        rows.map(|(row, _)| row).collect()
    }
}

impl Held for Distinct {
    fn is_empty(&self) -> bool {
        self.seen.len() == 0
    }

    fn has_room(&mut self, rows: usize, limit: usize) -> bool {
        self.seen.has_room(rows, limit)
    }

    fn add(&mut self, py: Python<'_>, batch: &Batch, into: &Context) -> PyResult<()> {
        let new = py.detach(|| self.first_rows(batch));
        into.send_batch(py, &batch.gather(&new))
    }

    fn add_known(&mut self, py: Python<'_>, batch: &Batch, _: &Context) -> PyResult<Vec<u32>> {
        Ok(py.detach(|| self.other_rows(batch)))
    }

    fn drain(&mut self, _: Python<'_>, _: &Context) -> PyResult<()> {
        self.seen.clear();
        Ok(())
    }
}
