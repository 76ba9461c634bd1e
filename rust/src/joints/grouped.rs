//! One record for each key.

use pyo3::prelude::*;

use crate::codec::Codec;
use crate::columns::column::Batch;
use crate::context::Context;
use crate::grouping::Grouping;
use crate::joints::by_key::Held;

pub struct Grouped {
    pub takes: Py<Codec>,
    pub gives: Py<Codec>,
    pub grouping: Grouping,
}

impl Held for Grouped {
    fn is_empty(&self) -> bool {
        self.grouping.is_empty()
    }

    fn has_room(&mut self, rows: usize, limit: usize) -> bool {
        self.grouping.has_room(rows, limit)
    }

    fn add(&mut self, py: Python<'_>, batch: &Batch, _: &Context) -> PyResult<()> {
        self.grouping.add(py, &self.takes.get().shape, batch)
    }

    fn add_known(&mut self, py: Python<'_>, batch: &Batch, _: &Context) -> PyResult<Vec<u32>> {
        self.grouping.add_known(py, &self.takes.get().shape, batch)
    }

    fn drain(&mut self, py: Python<'_>, into: &Context) -> PyResult<()> {
        let gives = &self.gives.get().shape;
        self.grouping
            .drain(py, gives, |py, batch| into.send_batch(py, &batch))
    }
}
