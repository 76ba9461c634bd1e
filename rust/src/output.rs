//! One table as one task writes it: record to shard, record to line, lines to frames.

use std::collections::HashMap;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::bundle::Bundle;
use crate::cell::GilCell;
use crate::codec::Codec;
use crate::compress::Frames;
use crate::names::check_name;
use crate::partition::{Key, Partitioner};
use crate::value::{mismatch, utf8};

#[pyclass(frozen, module = "gaia._core")]
pub struct Output {
    table: String,
    /// The write in messages: "write counts".
    pub step: Py<PyString>,
    codec: Py<Codec>,
    sharding: Sharding,
    state: GilCell<State>,
}

enum Sharding {
    ModN(Partitioner),
    Custom(Py<PyAny>),
    /// The shard of the task's own input, among so many.
    Kept {
        shard: u32,
        shards: u64,
    },
}

struct State {
    bundle: Bundle,
    names: HashMap<String, u32>,
}

#[pymethods]
impl Output {
    /// `key` is None (the record itself), field numbers, or a function.
    #[new]
    #[pyo3(signature = (table, codec, path, *, shards, key, custom, kept, plain_key,
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
        compression: &str,
        level: i32,
        frame_bytes: usize,
        budget: usize,
    ) -> PyResult<Self> {
        let py = plain_key.py();
        let sharding = match (custom, kept) {
            (Some(function), _) => Sharding::Custom(function),
            (None, Some(shard)) => Sharding::Kept { shard, shards },
            (None, None) => {
                let key = match key {
                    None => Key::Record,
                    Some(key) if key.is_callable() => Key::Function(key.unbind()),
                    Some(key) => match key.extract::<Vec<usize>>()?.as_slice() {
                        [field] => Key::Field(*field),
                        fields => Key::Fields(fields.to_vec()),
                    },
                };
                Sharding::ModN(Partitioner {
                    key,
                    shards,
                    plain_key: plain_key.unbind(),
                })
            }
        };
        let frames = Frames::new(compression, level)?;
        let step = PyString::new(py, &format!("write {table}")).unbind();
        let state = State {
            bundle: Bundle::new(path, frames, frame_bytes, budget),
            names: HashMap::new(),
        };
        Ok(Self {
            table,
            step,
            codec,
            sharding,
            state: GilCell::new(state),
        })
    }

    /// The system's code for the failure that broke the bundle, or None.
    #[getter]
    fn broken(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.state.borrow_mut(py)?.bundle.broken)
    }

    /// Writes out what is buffered. Returns the index, as packed little-endian entries of
    /// `(shard u32, records u32, offset u64, stored u64, raw u64)`, and the names of custom shards
    /// in the order of their numbers.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Vec<String>)> {
        let mut state = self.state.borrow_mut(py)?;
        let mut index = Vec::new();
        for frame in state.bundle.finish()? {
            index.extend_from_slice(&frame.shard.to_le_bytes());
            index.extend_from_slice(&frame.records.to_le_bytes());
            index.extend_from_slice(&frame.offset.to_le_bytes());
            index.extend_from_slice(&frame.stored.to_le_bytes());
            index.extend_from_slice(&frame.raw.to_le_bytes());
        }
        let mut names = vec![String::new(); state.names.len()];
        for (name, at) in state.names.drain() {
            names[at as usize] = name;
        }
        Ok((PyBytes::new(py, &index), names))
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
        let codec = self.codec.get();
        let failure = |by_write| move |error| Box::new(Failure { error, by_write });
        codec.shape.check(record).map_err(failure(false))?;
        // User functions run before the state is borrowed, so they may write as well.
        let place = match explicit {
            Some(shard) => self.explicit(shard).map_err(failure(false))?,
            None => self.place(record).map_err(failure(true))?,
        };
        self.add(record, place)
            .map_err(failure(codec.has_own_text()))
    }

    fn place(&self, record: &Bound<'_, PyAny>) -> PyResult<Place> {
        match &self.sharding {
            Sharding::ModN(partitioner) => Ok(Place::At(
                partitioner.shard(&self.codec.get().shape, record)?,
            )),
            Sharding::Kept { shard, .. } => Ok(Place::At(*shard)),
            Sharding::Custom(function) => self.named(&function.bind(record.py()).call1((record,))?),
        }
    }

    fn add(&self, record: &Bound<'_, PyAny>, place: Place) -> PyResult<()> {
        let mut state = self.state.borrow_mut(record.py())?;
        let state = &mut *state;
        let at = state.number(place);
        state.bundle.push(at, |lines| {
            self.codec.get().encode(record, lines)?;
            lines.push(b'\n');
            Ok(())
        })
    }

    /// No more records for the shard from this task: its buffer is written out and freed.
    pub fn close_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        let place = self.explicit(shard)?;
        let mut state = self.state.borrow_mut(shard.py())?;
        let at = state.number(place);
        state.bundle.close(at)?;
        Ok(())
    }

    fn explicit(&self, shard: &Bound<'_, PyAny>) -> PyResult<Place> {
        let shards = match &self.sharding {
            Sharding::Custom(_) => return self.named(shard),
            Sharding::ModN(Partitioner { shards, .. }) | Sharding::Kept { shards, .. } => *shards,
        };
        let at = shard
            .extract::<i64>()
            .map_err(|_| mismatch("the shard", "int", shard))?;
        if at < 0 || at.cast_unsigned() >= shards {
            let (table, last) = (&self.table, shards - 1);
            return Err(PyValueError::new_err(format!(
                "table `{table}`: expected a shard from 0 to {last}, got {at}"
            )));
        }
        Ok(Place::At(at as u32))
    }

    fn named(&self, shard: &Bound<'_, PyAny>) -> PyResult<Place> {
        let name = String::from_utf8_lossy(utf8("the shard", shard)?);
        if let Err(why) = check_name(&name) {
            let table = &self.table;
            return Err(PyValueError::new_err(format!(
                "table `{table}`: shard name {name:?} {why}"
            )));
        }
        Ok(Place::Named(name.into_owned()))
    }
}

enum Place {
    At(u32),
    Named(String),
}

impl State {
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
