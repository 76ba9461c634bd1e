//! Joiners of the native core: they see whole shards, batch by batch, input after input.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::cell::GilCell;
use crate::codec::Codec;
use crate::columns::column::Batch;
use crate::columns::rows;
use crate::context::Context;
use crate::grouping::{Grouping, Out};
use crate::joints::by_key::ByKey;
use crate::joints::distinct::Distinct;
use crate::joints::grouped::Grouped;
use crate::joints::matching::Match;
use crate::joints::top_k::TopK;
use crate::joints::{builder, same};
use crate::spill::scratch::Scratch;

#[pyclass(frozen, module = "gaia._core")]
pub struct Joint {
    work: GilCell<Work>,
    scratch: GilCell<Scratch>,
}

enum Work {
    GroupBy(ByKey<Grouped>),
    Distinct(ByKey<Distinct>),
    TopK(TopK),
    Match(Match),
}

#[pymethods]
impl Joint {
    /// One record for each key. `out` tells for each field that goes out how it is reduced (`key`, a
    /// reduction's name, or a function), and from which field that comes in.
    #[staticmethod]
    fn group_by(
        takes: Py<Codec>,
        gives: Py<Codec>,
        keys: Vec<usize>,
        out: Vec<(Bound<'_, PyAny>, usize)>,
    ) -> PyResult<Self> {
        let out = out.iter().map(|(how, field)| Out::from_python(how, *field));
        let out = out.collect::<PyResult<Vec<_>>>()?;
        let shape = &takes.get().shape;
        let asked = |field| out.iter().any(|each| each.field() == Some(field));
        let like = builder(shape, asked);
        let same = same(shape, &keys);
        let held = Grouped {
            grouping: Grouping::new(shape, &keys, out, usize::MAX),
            takes,
            gives,
        };
        let work = ByKey::new(held, like, keys, same);
        Ok(Self::new(Work::GroupBy(work)))
    }

    /// The first record of each key.
    #[staticmethod]
    fn distinct(takes: &Codec, keys: Vec<usize>) -> Self {
        let shape = &takes.shape;
        let held = Distinct::new(shape, keys.clone());
        let same = same(shape, &keys);
        let work = ByKey::new(held, rows::builder(shape), keys, same);
        Self::new(Work::Distinct(work))
    }

    /// The `count` records with the largest (or smallest) values of a field.
    #[staticmethod]
    fn top_k(takes: &Codec, count: usize, by: usize, largest: bool) -> Self {
        let work = TopK::new(&takes.shape, count, by, largest);
        Self::new(Work::TopK(work))
    }

    /// Pairs of records of two inputs with equal keys; the second input comes first. `out` tells of
    /// each field that goes out from which input and field it comes. With `outer`, a record of the
    /// first input without a match goes out as well.
    #[staticmethod]
    fn matched(
        left: &Codec,
        right: &Codec,
        left_keys: Vec<usize>,
        right_keys: Vec<usize>,
        out: Vec<(usize, usize)>,
        outer: bool,
    ) -> Self {
        let (left, right) = (&left.shape, &right.shape);
        let work = Match::new(left, right, left_keys, right_keys, out, outer);
        Self::new(Work::Match(work))
    }

    /// Holds about so many bytes at most; what is beyond goes to files that are made at `path`.
    /// Without it, everything is held.
    fn limit(&self, py: Python<'_>, bytes: usize, path: PathBuf) -> PyResult<()> {
        *self.scratch.borrow_mut(py)? = Scratch::new(bytes, path);
        Ok(())
    }

    /// The system's code for the failure that broke the files, or None.
    #[getter]
    fn broken(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.scratch.borrow_mut(py)?.broken)
    }

    /// How many files were written, and how many bytes.
    #[getter]
    fn spilled(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        let scratch = self.scratch.borrow_mut(py)?;
        Ok((scratch.spills, scratch.bytes))
    }

    /// The end of the shard.
    fn finish(&self, py: Python<'_>, into: &Context) -> PyResult<()> {
        let scratch = &mut *self.scratch.borrow_mut(py)?;
        match &mut *self.work.borrow_mut(py)? {
            Work::GroupBy(work) => work.finish(py, into, scratch),
            Work::Distinct(work) => work.finish(py, into, scratch),
            Work::Match(work) => work.finish(py, into, scratch),
            Work::TopK(top) => {
                let best = py.detach(|| top.best());
                into.send_batch(py, &best)
            }
        }
    }
}

impl Joint {
    fn new(work: Work) -> Self {
        Self {
            work: GilCell::new(work),
            scratch: GilCell::new(Scratch::new(usize::MAX, PathBuf::new())),
        }
    }

    /// Takes some records of an input.
    pub fn push(
        &self,
        py: Python<'_>,
        input: usize,
        batch: &Batch,
        into: &Context,
    ) -> PyResult<()> {
        let scratch = &mut *self.scratch.borrow_mut(py)?;
        match &mut *self.work.borrow_mut(py)? {
            Work::GroupBy(work) => work.push(py, batch, into, scratch),
            Work::Distinct(work) => work.push(py, batch, into, scratch),
            Work::TopK(top) => top.push(py, batch),
            Work::Match(work) if input == 1 => work.push_right(py, batch, scratch),
            Work::Match(work) => work.push_left(py, batch, into, scratch),
        }
    }
}
