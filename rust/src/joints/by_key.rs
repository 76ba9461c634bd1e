//! Joiners that hold something for every key, and as many keys as fit.
//!
//! When the memory is full, no key is added any more: records of the keys that are held go on as
//! before, and those of all other keys go to disk, in parts by their keys. When the shard has ended,
//! what is held goes out, and then part after part is taken as a shard of its own; one that does not
//! fit either is parted once more. Every time at least some keys are done with, so it comes to an
//! end, however small the memory. A key's records stay in their order, and nothing is combined that
//! was written to disk: what a joiner does with a key is the same with and without.

use pyo3::prelude::*;

use crate::columns::column::{Batch, Column};
use crate::context::Context;
use crate::groups::keys::Same;
use crate::spill::parts::{Part, Spill};
use crate::spill::scratch::Scratch;

/// What is held for the keys.
pub trait Held {
    fn is_empty(&self) -> bool;

    /// Whether a batch of so many rows can be added within so many bytes.
    fn has_room(&mut self, rows: usize, limit: usize) -> bool;

    /// Takes records, keys being added. There must be room.
    fn add(&mut self, py: Python<'_>, batch: &Batch, into: &Context) -> PyResult<()>;

    /// Takes the records whose keys are there already, and returns the rows of the others.
    fn add_known(&mut self, py: Python<'_>, batch: &Batch, into: &Context) -> PyResult<Vec<u32>>;

    /// Passes on what has not gone out yet; no key is left.
    fn drain(&mut self, py: Python<'_>, into: &Context) -> PyResult<()>;
}

pub struct ByKey<H> {
    held: H,
    /// The columns that are kept on disk, the key's columns, and how these are compared.
    like: Vec<Column>,
    keys: Vec<usize>,
    same: Vec<Same>,
    spill: Option<Spill>,
    /// How often the records that are taken now have been parted.
    depth: u32,
}

impl<H: Held + Sync + Send> ByKey<H> {
    pub fn new(held: H, like: Vec<Column>, keys: Vec<usize>, same: Vec<Same>) -> Self {
        Self {
            held,
            like,
            keys,
            same,
            spill: None,
            depth: 0,
        }
    }

    pub fn push(
        &mut self,
        py: Python<'_>,
        batch: &Batch,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        batch.in_parts(scratch.rows_at_once(), |part| {
            self.push_part(py, part, into, scratch)
        })
    }

    fn push_part(
        &mut self,
        py: Python<'_>,
        batch: &Batch,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => {
                // Some have to fit, whatever the limit.
                let limit = match self.held.is_empty() {
                    true => usize::MAX,
                    false => scratch.limit,
                };
                if self.held.has_room(batch.rows, limit) {
                    return self.held.add(py, batch, into);
                }
                let spill = scratch.open(&self.like, &self.same, self.depth)?;
                self.spill.insert(spill)
            }
        };
        let others = self.held.add_known(py, batch, into)?;
        let written = py.detach(|| spill.push(batch, &self.keys, others));
        Ok(scratch.noted(written)?)
    }

    /// The end of the shard.
    pub fn finish(
        &mut self,
        py: Python<'_>,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        let mut waiting: Vec<Part> = Vec::new();
        loop {
            self.held.drain(py, into)?;
            if let Some(spill) = self.spill.take() {
                let parts = py.detach(|| scratch.close(spill))?;
                waiting.extend(parts.into_iter().filter(|part| !part.is_empty()));
            }
            let Some(mut part) = waiting.pop() else {
                return Ok(());
            };
            self.depth = part.depth;
            while let Some(batch) = scratch.noted(py.detach(|| part.read()))? {
                py.check_signals()?;
                self.push(py, &batch, into, scratch)?;
            }
        }
    }
}
