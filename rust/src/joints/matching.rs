//! A hash join: the second input is held, while the first passes by.
//!
//! Where the second input does not fit, both go to disk, in parts by their keys, and are matched part
//! by part. Where a part of the second input does not fit either, be it for a single key, as much of
//! it is held as fits, and the first input's part passes by once more for every such piece.

use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::{Batch, Column};
use crate::context::Context;
use crate::groups::keys::{Keys, Same};
use crate::joints::{builder, columns_of, empty, keys_of, same};
use crate::spill::parts::{Part, Spill};
use crate::spill::scratch::Scratch;

/// So many pairs go out at once: a key may have any number.
const PAIRS: usize = 1 << 16;

pub struct Match {
    left_keys: Vec<usize>,
    right_keys: Vec<usize>,
    held: Held,
    /// Empty columns for those fields of both inputs that are asked for.
    left: Vec<Column>,
    right: Vec<Column>,
    same: Vec<Same>,
    /// Both inputs, once they do not fit.
    spilled: Option<(Spill, Spill)>,
    /// Of each field that goes out, from which input and field it comes.
    out: Vec<(usize, usize)>,
    outer: bool,
}

/// Rows of the second input; those of one key are a chain, the last of them first.
struct Held {
    seen: Keys,
    kept: Batch,
    /// For each key, its last row; for each row, the one before it with the same key, both + 1.
    last: Vec<u32>,
    before: Vec<u32>,
}

/// How far a batch has been matched: the row, and the next of its pairs.
struct Search {
    groups: Vec<Option<u32>>,
    row: usize,
    at: Option<u32>,
}

impl Match {
    pub fn new(
        left: &Shape,
        right: &Shape,
        left_keys: Vec<usize>,
        right_keys: Vec<usize>,
        out: Vec<(usize, usize)>,
        outer: bool,
    ) -> Self {
        let optional = left_keys.iter().any(|&key| left.field(key).optional);
        let asked =
            |input, keys: &[usize], field| keys.contains(&field) || out.contains(&(input, field));
        let kept = builder(right, |field| asked(1, &right_keys, field));
        Self {
            right: kept.clone(),
            left: builder(left, |field| asked(0, &left_keys, field)),
            same: same(right, &right_keys),
            held: Held {
                seen: keys_of(right, &right_keys, optional),
                kept: empty(kept),
                last: Vec::new(),
                before: Vec::new(),
            },
            left_keys,
            right_keys,
            spilled: None,
            out,
            outer,
        }
    }

    /// Takes some of the second input, which comes first.
    pub fn push_right(
        &mut self,
        py: Python<'_>,
        batch: &Batch,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        py.detach(|| {
            batch.in_parts(scratch.rows_at_once(), |part| {
                let bytes = part.text_bytes();
                if self.spilled.is_none()
                    && (self.held.has_room(part.rows, bytes, scratch.limit) || self.held.is_empty())
                {
                    self.held.keep(&self.right_keys, part);
                    return Ok(());
                }
                self.spill_right(part, scratch)
            })
        })
    }

    fn spill_right(&mut self, batch: &Batch, scratch: &mut Scratch) -> PyResult<()> {
        if self.spilled.is_none() {
            let mut right = scratch.open(&self.right, &self.same, 0)?;
            let left = scratch.open(&self.left, &self.same, 0)?;
            let kept = self.held.clear(&self.right);
            let written = right.push(&kept, &self.right_keys, 0..kept.rows as u32);
            scratch.noted(written)?;
            self.spilled = Some((right, left));
        }
        if let Some((right, _)) = &mut self.spilled {
            let written = right.push(batch, &self.right_keys, 0..batch.rows as u32);
            scratch.noted(written)?;
        }
        Ok(())
    }

    /// Takes some of the first input.
    pub fn push_left(
        &mut self,
        py: Python<'_>,
        batch: &Batch,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        if let Some((_, left)) = &mut self.spilled {
            let rows = 0..batch.rows as u32;
            let written = py.detach(|| left.push(batch, &self.left_keys, rows));
            return Ok(scratch.noted(written)?);
        }
        let outer = self.outer;
        self.pass_by(py, batch, into, |_, found| outer && !found)
    }

    /// The end of the shard.
    pub fn finish(
        &mut self,
        py: Python<'_>,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        let Some((right, left)) = self.spilled.take() else {
            return Ok(());
        };
        let (rights, lefts) =
            py.detach(|| Ok::<_, PyErr>((scratch.close(right)?, scratch.close(left)?)))?;
        for (right, left) in rights.into_iter().zip(lefts) {
            if !left.is_empty() && (self.outer || !right.is_empty()) {
                self.match_parts(py, right, left, into, scratch)?;
            }
        }
        Ok(())
    }

    fn match_parts(
        &mut self,
        py: Python<'_>,
        mut right: Part,
        mut left: Part,
        into: &Context,
        scratch: &mut Scratch,
    ) -> PyResult<()> {
        // Which rows of the first input have been found, where it passes by several times.
        let mut matched: Vec<bool> = Vec::new();
        loop {
            let held = py.detach(|| self.held.fill(&mut right, &self.right_keys, scratch.limit));
            scratch.noted(held)?;
            let last = right.next().is_none();
            let outer = self.outer;
            let mut first = 0;
            while let Some(batch) = scratch.noted(py.detach(|| left.read()))? {
                py.check_signals()?;
                if outer && !(last && matched.is_empty()) {
                    matched.resize(matched.len().max(first + batch.rows), false);
                }
                self.pass_by(py, &batch, into, |row, found| {
                    let Some(matched) = matched.get_mut(first + row) else {
                        return outer && !found;
                    };
                    *matched |= found;
                    outer && last && !*matched
                })?;
                first += batch.rows;
            }
            self.held.clear(&self.right);
            if last {
                return Ok(());
            }
            left.rewind();
        }
    }

    /// Sends on the pairs that a batch of the first input has part in. `alone` is told of every row
    /// whether it has been found, and says whether it goes out without a match.
    fn pass_by(
        &self,
        py: Python<'_>,
        batch: &Batch,
        into: &Context,
        mut alone: impl FnMut(usize, bool) -> bool + Send,
    ) -> PyResult<()> {
        let mut search = py.detach(|| self.held.search(&self.left_keys, batch));
        let mut next = || {
            let (left, right) = self.held.find(&mut search, &mut alone)?;
            let columns = self.out.iter().map(|&(input, field)| match input {
                0 => batch.columns[field].gather(&left),
                _ => self.held.kept.columns[field].gather_some(&right),
            });
            Some(Batch {
                rows: left.len(),
                columns: columns.collect(),
                origin: None,
            })
        };
        while let Some(pairs) = py.detach(&mut next) {
            into.send_batch(py, &pairs)?;
        }
        Ok(())
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.kept.rows == 0
    }

    /// Whether so many rows with so many bytes of text can be kept within so many bytes.
    fn has_room(&mut self, rows: usize, text: usize, limit: usize) -> bool {
        let kept: usize = self.kept.columns.iter().map(Column::bytes).sum();
        let chains = 4 * (self.last.capacity() + self.before.capacity());
        let more = text + 8 * rows * (self.kept.columns.len() + 1);
        self.seen
            .has_room(rows, limit.saturating_sub(kept + chains + more))
    }

    fn keep(&mut self, keys: &[usize], batch: &Batch) {
        let mut groups = Vec::new();
        self.seen
            .assign(&columns_of(batch, keys), batch.rows, &mut groups);
        self.last.resize(self.seen.len(), 0);
        for (i, group) in groups.into_iter().enumerate() {
            let row = (self.kept.rows + i) as u32 + 1;
            let last = &mut self.last[group as usize];
            self.before.push(std::mem::replace(last, row));
        }
        self.kept.extend(batch, 0..batch.rows);
    }

    /// Keeps as much of what is left of a part as there is room for, and a block at least.
    fn fill(&mut self, part: &mut Part, keys: &[usize], limit: usize) -> std::io::Result<()> {
        while let Some(block) = part.next() {
            if !self.is_empty() && !self.has_room(block.rows, block.bytes, limit) {
                break;
            }
            if let Some(batch) = part.read()? {
                self.keep(keys, &batch);
            }
        }
        Ok(())
    }

    /// Takes out all rows, with the keys; the columns are like these from then on.
    fn clear(&mut self, like: &[Column]) -> Batch {
        self.seen.clear();
        self.last = Vec::new();
        self.before = Vec::new();
        std::mem::replace(&mut self.kept, empty(like.to_vec()))
    }

    /// Looks up the keys of a batch of the first input.
    fn search(&self, keys: &[usize], batch: &Batch) -> Search {
        let mut groups = Vec::new();
        self.seen
            .look_up(&columns_of(batch, keys), batch.rows, &mut groups);
        Search {
            groups,
            row: 0,
            at: None,
        }
    }

    /// The next of the pairs that a batch has part in, by their rows; None when there are no more.
    fn find(
        &self,
        search: &mut Search,
        alone: &mut impl FnMut(usize, bool) -> bool,
    ) -> Option<(Vec<u32>, Vec<Option<u32>>)> {
        let rows = search.groups.len();
        let mut left = Vec::with_capacity(rows);
        let mut right = Vec::with_capacity(rows);
        while search.row < rows && left.len() < PAIRS {
            let row = search.row as u32;
            let mut at = search.at.take().unwrap_or_else(|| {
                let group = search.groups[search.row];
                let first = group.map_or(0, |group| self.last[group as usize]);
                if alone(search.row, first > 0) {
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
        (!left.is_empty()).then_some((left, right))
    }
}
