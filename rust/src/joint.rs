//! Joiners of the native core: they see whole shards, batch by batch, input after input.

use std::cmp::Ordering;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::cell::GilCell;
use crate::codec::{Codec, Shape};
use crate::columns::column::{Batch, Column, Values};
use crate::columns::rows;
use crate::context::Context;
use crate::grouping::key_of;
use crate::grouping::{Grouping, Out};
use crate::groups::keys::{Keys, moment};
use crate::value::{Kind, Plain};

const LARGEST: usize = 3 << 30;
/// So many pairs go out at once: a key may have any number.
const PAIRS: usize = 1 << 16;

#[pyclass(frozen, module = "gaia._core")]
pub struct Joint {
    takes: Vec<Py<Codec>>,
    gives: Py<Codec>,
    work: GilCell<Work>,
}

enum Work {
    GroupBy(Grouping),
    Distinct { keys: Vec<usize>, seen: Keys },
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
        let grouping = Grouping::new(
            &takes.get().shape,
            &keys,
            out.collect::<PyResult<_>>()?,
            usize::MAX,
        );
        Ok(Self::new(vec![takes], gives, Work::GroupBy(grouping)))
    }

    /// The first record of each key.
    #[staticmethod]
    fn distinct(py: Python<'_>, takes: Py<Codec>, keys: Vec<usize>) -> Self {
        let seen = keys_of(&takes.get().shape, &keys, false);
        let gives = takes.clone_ref(py);
        Self::new(vec![takes], gives, Work::Distinct { keys, seen })
    }

    /// The `count` records with the largest (or smallest) values of a field.
    #[staticmethod]
    fn top_k(py: Python<'_>, takes: Py<Codec>, count: usize, by: usize, largest: bool) -> Self {
        let shape = &takes.get().shape;
        let moments = matches!(
            shape.field(by).kind,
            Kind::Via {
                plain: Plain::Datetime,
                ..
            }
        );
        let kept = empty(shape);
        let gives = takes.clone_ref(py);
        let work = Work::TopK(TopK {
            count,
            by,
            largest,
            moments,
            kept,
        });
        Self::new(vec![takes], gives, work)
    }

    /// Pairs of records of two inputs with equal keys; the second input comes first, and is held in
    /// memory. `out` tells of each field that goes out from which input and field it comes. With
    /// `outer`, a record of the first input without a match goes out as well.
    #[staticmethod]
    fn matched(
        left: Py<Codec>,
        right: Py<Codec>,
        gives: Py<Codec>,
        left_keys: Vec<usize>,
        right_keys: Vec<usize>,
        out: Vec<(usize, usize)>,
        outer: bool,
    ) -> Self {
        let work = Work::Match(Match {
            seen: keys_of(
                &right.get().shape,
                &right_keys,
                left_keys
                    .iter()
                    .any(|&key| left.get().shape.field(key).optional),
            ),
            left_keys,
            right_keys,
            kept: empty(&right.get().shape),
            last: Vec::new(),
            before: Vec::new(),
            out,
            outer,
        });
        Self::new(vec![left, right], gives, work)
    }

    /// The end of the shard.
    fn finish(&self, py: Python<'_>, into: &Context) -> PyResult<()> {
        let mut work = self.work.borrow_mut(py)?;
        match &mut *work {
            Work::GroupBy(grouping) => {
                let gives = &self.gives.get().shape;
                grouping.drain(py, gives, |py, batch| into.send_batch(py, &batch))
            }
            Work::TopK(top) => {
                let best = py.detach(|| top.best());
                into.send_batch(py, &best)
            }
            Work::Distinct { .. } | Work::Match(_) => Ok(()),
        }
    }
}

impl Joint {
    fn new(takes: Vec<Py<Codec>>, gives: Py<Codec>, work: Work) -> Self {
        Self {
            takes,
            gives,
            work: GilCell::new(work),
        }
    }

    /// The shape of the records of an input.
    pub fn takes(&self, input: usize) -> &Py<Codec> {
        &self.takes[input.min(self.takes.len() - 1)]
    }

    /// Takes some records of an input.
    pub fn push(
        &self,
        py: Python<'_>,
        input: usize,
        batch: &Batch,
        into: &Context,
    ) -> PyResult<()> {
        let mut work = self.work.borrow_mut(py)?;
        match &mut *work {
            Work::GroupBy(grouping) => {
                // Unlimited: what goes out of a joiner has to be one record a key.
                grouping.has_room(batch.rows, usize::MAX);
                grouping.add(py, &self.takes(input).get().shape, batch)
            }
            Work::Distinct { keys, seen } => {
                let new = py.detach(|| first_rows(seen, keys, batch));
                into.send_batch(py, &batch.gather(&new))
            }
            Work::TopK(top) => {
                has_room(&top.kept, batch)?;
                py.detach(|| top.push(batch));
                Ok(())
            }
            Work::Match(matching) if input == 1 => {
                has_room(&matching.kept, batch)?;
                py.detach(|| matching.keep(batch));
                Ok(())
            }
            Work::Match(matching) => {
                let mut search = py.detach(|| matching.search(batch));
                while let Some(found) = py.detach(|| matching.find(batch, &mut search)) {
                    into.send_batch(py, &found)?;
                }
                Ok(())
            }
        }
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

fn empty(shape: &Shape) -> Batch {
    Batch {
        rows: 0,
        columns: rows::builder(shape),
        origin: None,
    }
}

/// The keys of one input; `optional` says that those to be looked up may be None besides.
fn keys_of(shape: &Shape, keys: &[usize], optional: bool) -> Keys {
    let like = rows::builder(shape);
    let columns = keys.iter().map(|&key| like[key].empty_like()).collect();
    let keys: Vec<_> = keys.iter().map(|&column| key_of(shape, column)).collect();
    let optional = optional || keys.iter().any(|key| key.optional);
    Keys::new(columns, keys.iter().map(|key| key.same).collect(), optional)
}

/// The rows whose key was not there before.
fn first_rows(seen: &mut Keys, keys: &[usize], batch: &Batch) -> Vec<u32> {
    let mut known = seen.len() as u32;
    let columns: Vec<&Column> = keys.iter().map(|&key| &batch.columns[key]).collect();
    let mut groups = Vec::new();
    seen.assign(&columns, batch.rows, &mut groups);
    let mut rows = Vec::new();
    for (row, &group) in groups.iter().enumerate() {
        if group == known {
            rows.push(row as u32);
            known += 1;
        }
    }
    rows
}

struct TopK {
    count: usize,
    by: usize,
    largest: bool,
    moments: bool,
    kept: Batch,
}

impl TopK {
    fn push(&mut self, batch: &Batch) {
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
    fn best(&self) -> Batch {
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

/// A hash join. The rows of the second input with one key are a chain, the last of them first.
struct Match {
    left_keys: Vec<usize>,
    right_keys: Vec<usize>,
    seen: Keys,
    kept: Batch,
    /// For each key, its last row; for each row, the one before it with the same key, both + 1.
    last: Vec<u32>,
    before: Vec<u32>,
    out: Vec<(usize, usize)>,
    outer: bool,
}

/// How far a batch has been matched: the row, and the next of its pairs.
struct Search {
    groups: Vec<Option<u32>>,
    row: usize,
    at: Option<u32>,
}

impl Match {
    fn keep(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self
            .right_keys
            .iter()
            .map(|&key| &batch.columns[key])
            .collect();
        let mut groups = Vec::new();
        self.seen.assign(&columns, batch.rows, &mut groups);
        self.last.resize(self.seen.len(), 0);
        for (i, group) in groups.into_iter().enumerate() {
            let row = (self.kept.rows + i) as u32 + 1;
            let last = &mut self.last[group as usize];
            self.before.push(std::mem::replace(last, row));
        }
        self.kept.extend(batch, 0..batch.rows);
    }

    /// Looks up the keys of a batch of the first input.
    fn search(&self, batch: &Batch) -> Search {
        let columns: Vec<&Column> = self
            .left_keys
            .iter()
            .map(|&key| &batch.columns[key])
            .collect();
        let mut groups = Vec::new();
        self.seen.look_up(&columns, batch.rows, &mut groups);
        Search {
            groups,
            row: 0,
            at: None,
        }
    }

    /// The next of the pairs that a batch has part in; None when there are no more.
    fn find(&self, batch: &Batch, search: &mut Search) -> Option<Batch> {
        let mut left = Vec::with_capacity(batch.rows);
        let mut right = Vec::with_capacity(batch.rows);
        while search.row < search.groups.len() && left.len() < PAIRS {
            let row = search.row as u32;
            let mut at = search.at.take().unwrap_or_else(|| {
                let group = search.groups[search.row];
                let first = group.map_or(0, |group| self.last[group as usize]);
                if first == 0 && self.outer {
                    left.push(row);
                    right.push(None);
                }
                first
            });
            while at > 0 && left.len() < PAIRS {
                left.push(row);
                right.push(Some(at - 1));
                at = self.before[at as usize - 1];
            }
            if at > 0 {
                search.at = Some(at);
            } else {
                search.row += 1;
            }
        }
        if left.is_empty() {
            return None;
        }
        let columns = self.out.iter().map(|&(input, field)| match input {
            0 => batch.columns[field].gather(&left),
            _ => self.kept.columns[field].gather_some(&right),
        });
        Some(Batch {
            rows: left.len(),
            columns: columns.collect(),
            origin: None,
        })
    }
}
