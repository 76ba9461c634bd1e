//! One table as one task writes it: combining, and which shard a record belongs to.

use std::collections::HashMap;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::cell::GilCell;
use crate::codec::Codec;
use crate::columns::column::Batch;
use crate::columns::pending::Pending;
use crate::columns::rows;
use crate::grouping::{Grouping, Out};
use crate::order::Order;
use crate::profile::Step;
use crate::sharding::{Place, Sharding};
use crate::written::{Limits, Written};

/// Records that Python writes one by one are combined so many at a time.
const PENDING: usize = 1024;
const PENDING_BYTES: usize = 1 << 20;

#[pyclass(frozen, module = "gaia._core")]
pub struct Output {
    /// The write in messages: "write counts".
    pub step: Py<PyString>,
    marks: Step,
    codec: Py<Codec>,
    /// Whether rows of columns are written without Python.
    native: bool,
    sharding: Sharding,
    pub combined: bool,
    state: GilCell<State>,
}

struct State {
    sink: Sink,
    combine: Option<Combine>,
}

/// Where sharded records go.
struct Sink {
    written: Written,
    names: HashMap<String, u32>,
    /// The shards of the rows at hand, and those rows in their order.
    shards: Vec<u32>,
    order: Order,
}

/// Reduction before records are sharded.
struct Combine {
    grouping: Grouping,
    pending: Pending,
    /// Groups are written out when they hold so many bytes.
    limit: usize,
}

/// How a table is combined, as Python describes it: the key fields, for each field how it is reduced
/// (`key`, a reduction's name or a function), and the limit of memory in bytes.
type CombineSpec<'py> = (Vec<usize>, Vec<Bound<'py, PyAny>>, usize);

#[pymethods]
impl Output {
    /// `key` is None (the record itself), field numbers, or a function.
    #[new]
    #[pyo3(signature = (table, codec, path, *, shards, key, custom, kept, plain_key, combine,
                        compression, level, frame_bytes, budget))]
    #[expect(clippy::too_many_arguments, reason = "all are named by the one caller")]
    fn new(
        table: String,
        codec: Py<Codec>,
        path: PathBuf,
        shards: u64,
        key: Option<Bound<'_, PyAny>>,
        custom: Option<Py<PyAny>>,
        kept: Option<u32>,
        plain_key: Bound<'_, PyAny>,
        combine: Option<CombineSpec<'_>>,
        compression: &str,
        level: i32,
        frame_bytes: usize,
        budget: usize,
    ) -> PyResult<Self> {
        let py = plain_key.py();
        let sharding = Sharding::new(&table, shards, key, custom, kept, plain_key.unbind())?;
        let limits = Limits {
            frame_bytes,
            budget,
        };
        let written = Written::new(codec.get(), path, (compression, level), limits)?;
        let native = written.is_native();
        let step = format!("write {table}");
        let marks = Step::new(py, &step)?;
        let step = PyString::new(py, &step).unbind();
        let shape = &codec.get().shape;
        let combine = match combine {
            None => None,
            Some((keys, fields, limit)) => {
                let out = fields.iter().enumerate();
                let out = out.map(|(field, how)| Out::from_python(how, field));
                Some(Combine {
                    grouping: Grouping::new(shape, &keys, out.collect::<PyResult<_>>()?, limit),
                    pending: Pending::new(shape),
                    limit,
                })
            }
        };
        let combined = combine.is_some();
        let state = State {
            sink: Sink {
                written,
                names: HashMap::new(),
                shards: Vec::new(),
                order: Order::default(),
            },
            combine,
        };
        Ok(Self {
            step,
            marks,
            native,
            codec,
            sharding,
            combined,
            state: GilCell::new(state),
        })
    }

    /// Reduces what is pending and passes on all groups of a combined table.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        let _mark = self.marks.mark();
        self.settle_groups(py, &mut *self.state.borrow_mut(py)?)
    }

    /// The system's code for the failure that broke the bundle, or None.
    #[getter]
    fn broken(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.state.borrow_mut(py)?.sink.written.broken())
    }

    /// Writes out what is buffered. Returns the index, as packed little-endian entries of
    /// `(shard u32, records u32, offset u64, stored u64, raw u64)`, the names of custom shards in
    /// the order of their numbers, and for each column of Arrow which datetimes there were.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Finished<'py>> {
        let _mark = self.marks.mark();
        let mut state = self.state.borrow_mut(py)?;
        let sink = &mut state.sink;
        let mut index = Vec::new();
        let (frames, zones) = sink.written.finish()?;
        for frame in frames {
            index.extend_from_slice(&frame.shard.to_le_bytes());
            index.extend_from_slice(&frame.records.to_le_bytes());
            index.extend_from_slice(&frame.offset.to_le_bytes());
            index.extend_from_slice(&frame.stored.to_le_bytes());
            index.extend_from_slice(&frame.raw.to_le_bytes());
        }
        let mut names = vec![String::new(); sink.names.len()];
        for (name, at) in sink.names.drain() {
            names[at as usize] = name;
        }
        Ok((PyBytes::new(py, &index), names, PyBytes::new(py, zones)))
    }
}

/// The index of a bundle, the names of its shards, and its datetimes.
type Finished<'py> = (Bound<'py, PyBytes>, Vec<String>, Bound<'py, PyBytes>);

/// Why a batch was not written, and the row to blame where it is one of the batch's.
pub struct BatchFailure {
    pub error: PyErr,
    pub row: Option<usize>,
}

impl From<PyErr> for BatchFailure {
    fn from(error: PyErr) -> Self {
        Self { error, row: None }
    }
}

/// Why a record was not written, and whether the write's own user code (a key or sharding function,
/// `to_text`) is to blame.
pub struct Failure {
    pub error: PyErr,
    pub by_write: bool,
}

impl Output {
    pub fn write(
        &self,
        record: &Bound<'_, PyAny>,
        explicit: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), Box<Failure>> {
        let _mark = self.marks.mark();
        let codec = self.codec.get();
        let failure = |by_write| move |error| Box::new(Failure { error, by_write });
        codec.shape.check(record).map_err(failure(false))?;
        if self.combined {
            return self.combine(record, explicit);
        }
        // User functions run before the state is borrowed, so they may write as well.
        let place = match explicit {
            Some(shard) => self.sharding.explicit(shard).map_err(failure(false))?,
            None => self
                .sharding
                .place(&codec.shape, record)
                .map_err(failure(true))?,
        };
        self.add(record, place)
            .map_err(failure(codec.has_own_text()))
    }

    /// Whether records had better come in batches.
    pub fn takes_batches(&self) -> bool {
        self.native && (self.combined || !self.sharding.asks_python())
    }

    /// Writes records that stand in columns.
    pub fn write_batch(
        &self,
        py: Python<'_>,
        batch: &Batch,
        explicit: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), BatchFailure> {
        let _mark = self.marks.mark();
        let State { sink, combine } = &mut *self.state.borrow_mut(py)?;
        let Some(shard) = explicit else {
            return match combine {
                Some(Combine {
                    grouping, limit, ..
                }) => Ok(self.absorb(py, sink, grouping, *limit, batch)?),
                None => self.emit(py, sink, batch),
            };
        };
        self.may_choose()?;
        let place = self.sharding.explicit(shard)?;
        let at = sink.number(place);
        sink.shards.clear();
        sink.shards.resize(batch.rows, at);
        self.encode(py, sink, batch)
    }

    fn combine(
        &self,
        record: &Bound<'_, PyAny>,
        explicit: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), Box<Failure>> {
        let py = record.py();
        let failure = |by_write| move |error| Box::new(Failure { error, by_write });
        if explicit.is_some() {
            self.may_choose().map_err(failure(false))?;
        }
        let mut state = self.state.borrow_mut(py).map_err(failure(false))?;
        let State { sink, combine } = &mut *state;
        let Some(combine) = combine else {
            unreachable!("only a combined table combines");
        };
        let pending = &mut combine.pending;
        pending
            .push(&self.codec.get().shape, record)
            .map_err(failure(false))?;
        let rows = pending.rows();
        let large = rows % 16 == 0 && pending.text_bytes() >= PENDING_BYTES;
        if rows >= PENDING || large {
            self.absorb_pending(py, sink, combine)
                .map_err(failure(true))?;
        }
        Ok(())
    }

    fn may_choose(&self) -> PyResult<()> {
        if !self.combined {
            return Ok(());
        }
        let table = self.sharding.table();
        Err(PyValueError::new_err(format!(
            "table `{table}` is combined: records that are added up have no shard of their own, so \
             its sharding alone chooses"
        )))
    }

    fn absorb_pending(
        &self,
        py: Python<'_>,
        sink: &mut Sink,
        combine: &mut Combine,
    ) -> PyResult<()> {
        let Combine {
            grouping,
            pending,
            limit,
        } = combine;
        if pending.rows() == 0 {
            return Ok(());
        }
        pending.lend(&self.codec.get().shape, |batch| {
            self.absorb(py, sink, grouping, *limit, batch)
        })
    }

    fn absorb(
        &self,
        py: Python<'_>,
        sink: &mut Sink,
        grouping: &mut Grouping,
        limit: usize,
        batch: &Batch,
    ) -> PyResult<()> {
        if !grouping.has_room(batch.rows, limit) {
            self.flush(py, sink, grouping)?;
            // One batch has to fit, whatever the limit.
            grouping.has_room(batch.rows, usize::MAX);
        }
        grouping.add(py, &self.codec.get().shape, batch)
    }

    /// Writes out all groups.
    fn flush(&self, py: Python<'_>, sink: &mut Sink, grouping: &mut Grouping) -> PyResult<()> {
        grouping.drain(py, &self.codec.get().shape, |py, batch| {
            self.emit(py, sink, &batch).map_err(|failure| failure.error)
        })
    }

    fn settle_groups(&self, py: Python<'_>, state: &mut State) -> PyResult<()> {
        let State { sink, combine } = state;
        let Some(combine) = combine else {
            return Ok(());
        };
        self.absorb_pending(py, sink, combine)?;
        self.flush(py, sink, &mut combine.grouping)
    }

    /// Shards and encodes the rows of a batch.
    fn emit(&self, py: Python<'_>, sink: &mut Sink, batch: &Batch) -> Result<(), BatchFailure> {
        let shape = &self.codec.get().shape;
        let mut shards = std::mem::take(&mut sink.shards);
        let by_python = !py.detach(|| self.sharding.shards(shape, batch, &mut shards));
        if by_python {
            shards.clear();
            for row in 0..batch.rows {
                let record = rows::record(py, shape, &batch.columns, row)?;
                let place = self
                    .sharding
                    .place(shape, &record)
                    .map_err(|error| BatchFailure {
                        error,
                        row: Some(row),
                    })?;
                shards.push(sink.number(place));
            }
        }
        sink.shards = shards;
        self.encode(py, sink, batch)
    }

    /// Writes the rows of a batch to the shards that `sink.shards` tells.
    fn encode(&self, py: Python<'_>, sink: &mut Sink, batch: &Batch) -> Result<(), BatchFailure> {
        let Sink {
            written,
            shards,
            order,
            ..
        } = sink;
        written.push_batch(py, shards, order, self.codec.get(), batch)
    }

    fn add(&self, record: &Bound<'_, PyAny>, place: Place) -> PyResult<()> {
        let mut state = self.state.borrow_mut(record.py())?;
        let sink = &mut state.sink;
        let at = sink.number(place);
        sink.written.push(at, self.codec.get(), record)
    }

    /// # Errors
    /// `ValueError` or `TypeError` where records cannot be sent to the shard.
    pub fn check_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        self.may_choose()?;
        self.sharding.explicit(shard).map(drop)
    }

    /// No more records for the shard from this task: its buffer is written out and freed.
    pub fn close_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        let _mark = self.marks.mark();
        let place = self.sharding.explicit(shard)?;
        let mut state = self.state.borrow_mut(shard.py())?;
        self.settle_groups(shard.py(), &mut state)?;
        let at = state.sink.number(place);
        state.sink.written.close(at)?;
        Ok(())
    }
}

impl Sink {
    fn number(&mut self, place: Place) -> u32 {
        match place {
            Place::At(at) => at,
            Place::Named(name) => {
                let next = self.names.len() as u32;
                *self.names.entry(name).or_insert(next)
            }
        }
    }
}
