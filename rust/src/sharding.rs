//! How a table's records find their shards: by key, by name, or as those of the input.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::Batch;
use crate::names::check_name;
use crate::partition::{Key, Partitioner};
use crate::profile;
use crate::value::{mismatch, utf8};

pub struct Sharding {
    table: String,
    rule: Rule,
}

enum Rule {
    ModN(Partitioner),
    Custom(Py<PyAny>),
    /// The shard of the task's own input, among so many.
    Kept {
        shard: u32,
        shards: u64,
    },
}

/// A shard by its number, or by a name that gets one.
pub enum Place {
    At(u32),
    Named(String),
}

impl Sharding {
    /// `key` is None (the record itself), field numbers, or a function; a `custom` function, or a
    /// shard that is `kept`, stands in its place.
    pub fn new(
        table: &str,
        shards: u64,
        key: Option<Bound<'_, PyAny>>,
        custom: Option<Py<PyAny>>,
        kept: Option<u32>,
        plain_key: Py<PyAny>,
    ) -> PyResult<Self> {
        let rule = match (custom, kept) {
            (Some(function), _) => Rule::Custom(function),
            (None, Some(shard)) => Rule::Kept { shard, shards },
            (None, None) => {
                let key = match key {
                    None => Key::Record,
                    Some(key) if key.is_callable() => Key::Function(key.unbind()),
                    Some(key) => match key.extract::<Vec<usize>>()?.as_slice() {
                        [field] => Key::Field(*field),
                        fields => Key::Fields(fields.to_vec()),
                    },
                };
                Rule::ModN(Partitioner {
                    key,
                    shards,
                    plain_key,
                })
            }
        };
        let table = table.to_owned();
        Ok(Self { table, rule })
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether a function of the user's is asked for every record.
    pub fn asks_python(&self) -> bool {
        match &self.rule {
            Rule::ModN(partitioner) => matches!(partitioner.key, Key::Function(_)),
            Rule::Custom(_) => true,
            Rule::Kept { .. } => false,
        }
    }

    /// The shards of all rows of a batch; false where Python has to be asked, record by record.
    pub fn shards(&self, shape: &Shape, batch: &Batch, out: &mut Vec<u32>) -> bool {
        match &self.rule {
            Rule::ModN(partitioner) => partitioner.shards(shape, batch, out),
            Rule::Custom(_) => false,
            Rule::Kept { shard, .. } => {
                out.clear();
                out.resize(batch.rows, *shard);
                true
            }
        }
    }

    /// The shard of a record whose shape has been checked.
    pub fn place(&self, shape: &Shape, record: &Bound<'_, PyAny>) -> PyResult<Place> {
        match &self.rule {
            Rule::ModN(partitioner) => Ok(Place::At(partitioner.shard(shape, record)?)),
            Rule::Kept { shard, .. } => Ok(Place::At(*shard)),
            Rule::Custom(function) => {
                let name = {
                    let _users = profile::users();
                    function.bind(record.py()).call1((record,))?
                };
                self.named(&name)
            }
        }
    }

    /// The shard that user code asks for.
    pub fn explicit(&self, shard: &Bound<'_, PyAny>) -> PyResult<Place> {
        let shards = match &self.rule {
            Rule::Custom(_) => return self.named(shard),
            Rule::ModN(Partitioner { shards, .. }) | Rule::Kept { shards, .. } => *shards,
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
