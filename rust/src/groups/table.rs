//! Records grouped by key, each group reduced to one record.

use crate::columns::column::{Batch, Column, Values};
use crate::groups::keys::{Keys, Same};
use crate::groups::reduce::{Overflow, Reduced, Reduction};
use crate::groups::short::{LONGEST, ShortKeys};

/// A key column, by its place among the columns that come in.
#[derive(Clone, Copy)]
pub struct Key {
    pub column: usize,
    pub same: Same,
    pub optional: bool,
}

/// A reduction, of the column at a place among those that come in; a count needs none.
#[derive(Clone, Copy)]
pub struct Aggregate {
    pub reduction: Reduction,
    pub column: usize,
    pub optional: bool,
    /// The column's texts are moments.
    pub moments: bool,
}

/// Where a column that goes out comes from.
#[derive(Clone, Copy)]
pub enum Place {
    Key(usize),
    Aggregate(usize),
    /// It is the caller's own, who gets the number of every row's group.
    Own,
}

pub struct Spec {
    pub keys: Vec<Key>,
    pub aggregates: Vec<Aggregate>,
    pub layout: Vec<Place>,
    /// Empty columns, stored as those that come in.
    pub like: Vec<Column>,
}

/// Why a record could not be added.
#[derive(Debug)]
pub enum Refusal {
    /// An int got too large: the aggregate and the record's row.
    Overflow { aggregate: usize, row: usize },
    /// The texts of the keys are beyond what columns hold.
    TooLarge,
}

/// The rows of a batch by what is known of their keys.
#[derive(Default)]
pub struct Split {
    /// Those in the table of short keys.
    pub short: Vec<u32>,
    /// Those in other groups, and these.
    pub grouped: Vec<u32>,
    pub groups: Vec<u32>,
    /// Those whose keys are new.
    pub others: Vec<u32>,
}

const LARGEST: usize = 3 << 30;
/// So many groups go out at a time: of short keys, and of others.
const PART: usize = 4096;
const LARGE_PART: usize = 1 << 16;

pub struct Groups {
    spec: Spec,
    /// Texts of up to 15 bytes and their counts or sums, where that is all there is to do; what does
    /// not fit goes to the table below. No key is in both.
    short: Option<ShortKeys>,
    keys: Keys,
    reduced: Vec<Reduced>,
    of: Vec<u32>,
}

impl Groups {
    /// For use within so many bytes, which is to be asked for by `has_room`.
    pub fn new(spec: Spec, limit: usize) -> Self {
        let short = Self::is_simple(&spec).then(|| match limit {
            usize::MAX => ShortKeys::new(),
            limit => ShortKeys::new_within(limit),
        });
        let (keys, reduced) = Self::tables(&spec);
        Self {
            spec,
            short,
            keys,
            reduced,
            of: Vec::new(),
        }
    }

    fn is_simple(spec: &Spec) -> bool {
        let [key] = spec.keys[..] else { return false };
        let [aggregate] = spec.aggregates[..] else {
            return false;
        };
        let text = matches!(spec.like[key.column].values, Values::Text(_));
        let own = spec.layout.iter().any(|place| matches!(place, Place::Own));
        let counts = match aggregate.reduction {
            Reduction::Count => true,
            Reduction::Sum => {
                let ints = matches!(spec.like[aggregate.column].values, Values::Int(_));
                ints && !aggregate.optional
            }
            _ => false,
        };
        text && key.same == Same::Value && !key.optional && counts && !own
    }

    fn tables(spec: &Spec) -> (Keys, Vec<Reduced>) {
        let columns = spec
            .keys
            .iter()
            .map(|key| spec.like[key.column].empty_like());
        let same = spec.keys.iter().map(|key| key.same).collect();
        let optional = spec.keys.iter().any(|key| key.optional);
        let reduced = spec.aggregates.iter().map(|aggregate| {
            let ones = Values::Same(1).into();
            let like = match aggregate.reduction {
                Reduction::Count => &ones,
                _ => &spec.like[aggregate.column],
            };
            Reduced::new(
                aggregate.reduction,
                like,
                aggregate.optional,
                aggregate.moments,
            )
        });
        (
            Keys::new(columns.collect(), same, optional),
            reduced.collect(),
        )
    }

    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0 && self.short.as_ref().is_none_or(ShortKeys::is_empty)
    }

    /// Whether a batch of so many rows can be added within so many bytes. The table of short keys,
    /// whose size is a power of two, may take all of them, and then the rest a quarter besides.
    pub fn has_room(&mut self, rows: usize, limit: usize) -> bool {
        let mut rest = limit;
        if let Some(short) = &mut self.short {
            if !short.reserve(rows, limit) {
                return false;
            }
            rest = limit
                .saturating_add(limit / 4)
                .saturating_sub(short.bytes());
        }
        let reduced: usize = self.reduced.iter().map(Reduced::bytes).sum();
        self.keys.has_room(rows, rest.saturating_sub(reduced))
    }

    /// Adds records. There must be room.
    pub fn add(&mut self, batch: &Batch) -> Result<(), Refusal> {
        if let Some(short) = &mut self.short {
            let aggregate = self.spec.aggregates[0];
            let text = batch.columns[self.spec.keys[0].column].text();
            let counted = aggregate.reduction == Reduction::Count;
            let one = Column::from(Values::Same(1));
            let added = if counted {
                &one
            } else {
                &batch.columns[aggregate.column]
            };
            let n = |row: usize| u32::try_from(added.int(row)).ok();
            let mut done = 0;
            while done < batch.rows {
                let fits = text.spans[done..]
                    .iter()
                    .take_while(|span| span.len <= LONGEST)
                    .count();
                let spans = &text.spans[done..done + fits];
                if let Err(row) = short.add_all(&text.data, spans, |row| n(done + row)) {
                    self.dissolve()?;
                    return self.add_any(&rest(batch, done + row), done + row);
                }
                done += fits;
                let long = text.spans[done..]
                    .iter()
                    .take_while(|span| span.len > LONGEST)
                    .count();
                if long > 0 {
                    let rows: Vec<u32> = (done as u32..(done + long) as u32).collect();
                    add_to(
                        &self.spec,
                        &mut self.keys,
                        &mut self.reduced,
                        &mut self.of,
                        &batch.gather(&rows),
                        done,
                    )?;
                    done += long;
                }
            }
            return Ok(());
        }
        self.add_any(batch, 0)
    }

    fn add_any(&mut self, batch: &Batch, before: usize) -> Result<(), Refusal> {
        add_to(
            &self.spec,
            &mut self.keys,
            &mut self.reduced,
            &mut self.of,
            batch,
            before,
        )
    }

    /// The number of the group of every row of the last batch.
    pub fn last(&self) -> &[u32] {
        &self.of
    }

    /// Which rows have keys that are there already.
    pub fn split(&self, batch: &Batch) -> Split {
        let mut split = Split::default();
        let all = 0..batch.rows as u32;
        let rest: Vec<u32> = match &self.short {
            None => all.collect(),
            Some(short) => {
                let text = batch.columns[self.spec.keys[0].column].text();
                let span = |&row: &u32| text.spans[row as usize];
                let (fit, rest): (Vec<_>, _) = all.partition(|row| span(row).len <= LONGEST);
                let spans: Vec<_> = fit.iter().map(span).collect();
                short.look_up(&text.data, &spans, |i, known| {
                    let rows = if known {
                        &mut split.short
                    } else {
                        &mut split.others
                    };
                    rows.push(fit[i]);
                });
                rest
            }
        };
        let keys = self.spec.keys.iter();
        let keys: Vec<Column> = keys
            .map(|key| batch.columns[key.column].gather(&rest))
            .collect();
        let mut groups = Vec::new();
        self.keys
            .look_up(&keys.iter().collect::<Vec<_>>(), rest.len(), &mut groups);
        for (row, group) in rest.into_iter().zip(groups) {
            if let Some(group) = group {
                split.grouped.push(row);
                split.groups.push(group);
            } else {
                split.others.push(row);
            }
        }
        split
    }

    /// Adds records to groups that are there already.
    pub fn add_to(&mut self, batch: &Batch, groups: Vec<u32>) -> Result<(), Refusal> {
        self.of = groups;
        reduce(
            &self.spec,
            self.keys.len(),
            &mut self.reduced,
            &self.of,
            batch,
            0,
        )
    }

    /// Leaves the table of short keys for the general one.
    fn dissolve(&mut self) -> Result<(), Refusal> {
        let Some(mut short) = self.short.take() else {
            return Ok(());
        };
        let mut done = Ok(());
        short.drain(PART, |text, sums| {
            let key = Values::Text(text).into();
            self.keys.assign(&[&key], sums.len(), &mut self.of);
            let added = self.reduced[0].add(self.keys.len(), &self.of, &Values::Int(sums).into());
            if let Err(Overflow { row }) = added {
                done = Err(Refusal::Overflow { aggregate: 0, row });
            }
        });
        done
    }

    /// Takes out all groups, in batches; none is left. The second argument says whether they are
    /// groups that the caller may keep values for; these come in the order of their numbers.
    pub fn drain<E>(
        &mut self,
        mut each: impl FnMut(Batch, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut done = Ok(());
        if let Some(short) = &mut self.short {
            let layout = &self.spec.layout;
            short.drain(PART, |text, sums| {
                let rows = sums.len();
                let mut parts = [Some(Values::Text(text)), Some(Values::Int(sums))];
                let columns = layout.iter().map(|place| {
                    let part = &mut parts[usize::from(matches!(place, Place::Aggregate(_)))];
                    part.take().expect("each goes out once").into()
                });
                let batch = Batch {
                    rows,
                    columns: columns.collect(),
                    origin: None,
                };
                if done.is_ok() {
                    done = each(batch, false);
                }
            });
        }
        done?;
        let (keys, reduced) = Self::tables(&self.spec);
        let keys = std::mem::replace(&mut self.keys, keys);
        let reduced = std::mem::replace(&mut self.reduced, reduced);
        let rows = keys.len();
        if rows == 0 {
            return Ok(());
        }
        let mut keys: Vec<_> = keys.columns.into_iter().map(Some).collect();
        let mut reduced: Vec<_> = reduced
            .into_iter()
            .map(|each| Some(each.finish()))
            .collect();
        let columns = self.spec.layout.iter().map(|place| match *place {
            Place::Key(i) => keys[i].take().expect("each goes out once"),
            Place::Aggregate(i) => reduced[i].take().expect("each goes out once"),
            // The caller puts another in its place.
            Place::Own => Values::Same(0).into(),
        });
        let all = Batch {
            rows,
            columns: columns.collect(),
            origin: None,
        };
        if rows <= LARGE_PART {
            return each(all, true);
        }
        all.in_parts(LARGE_PART, |part| each(part.clone(), true))
    }
}

fn add_to(
    spec: &Spec,
    keys: &mut Keys,
    reduced: &mut [Reduced],
    of: &mut Vec<u32>,
    batch: &Batch,
    before: usize,
) -> Result<(), Refusal> {
    let largest = reduced.iter().map(Reduced::bytes).max();
    if keys.bytes().max(largest.unwrap_or(0)) > LARGEST {
        return Err(Refusal::TooLarge);
    }
    let key: Vec<&Column> = spec
        .keys
        .iter()
        .map(|key| &batch.columns[key.column])
        .collect();
    keys.assign(&key, batch.rows, of);
    reduce(spec, keys.len(), reduced, of, batch, before)
}

/// Adds the rows of a batch to the groups `of` them, of which there are so many.
fn reduce(
    spec: &Spec,
    groups: usize,
    reduced: &mut [Reduced],
    of: &[u32],
    batch: &Batch,
    before: usize,
) -> Result<(), Refusal> {
    let ones = Values::Same(1).into();
    for (i, (aggregate, reduced)) in spec.aggregates.iter().zip(reduced).enumerate() {
        let column = match aggregate.reduction {
            Reduction::Count => &ones,
            _ => &batch.columns[aggregate.column],
        };
        reduced
            .add(groups, of, column)
            .map_err(|overflow| Refusal::Overflow {
                aggregate: i,
                row: before + overflow.row,
            })?;
    }
    Ok(())
}

fn rest(batch: &Batch, from: usize) -> Batch {
    batch.gather(&(from as u32..batch.rows as u32).collect::<Vec<_>>())
}
