//! Reducing a column to one value for each group.

use crate::columns::column::{Column, Text, Values};
use crate::groups::hash::prefetch;
use crate::groups::keys::moment;

/// How many rows ahead a group's value is asked for.
const AHEAD: usize = 24;

#[inline]
fn ahead<T>(values: &[T], of: &[u32], row: usize) {
    if let Some(&group) = of.get(row + AHEAD) {
        prefetch(&values[group as usize]);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    Sum,
    Prod,
    Min,
    Max,
    First,
    /// Of booleans: whether one is true, whether all are.
    Any,
    All,
    /// The number of records, whatever they hold: the sum of a column of ones.
    Count,
}

impl Reduction {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Reduction::Sum,
            "prod" => Reduction::Prod,
            "min" => Reduction::Min,
            "max" => Reduction::Max,
            "first" => Reduction::First,
            "any" => Reduction::Any,
            "all" => Reduction::All,
            "count" => Reduction::Count,
            _ => return None,
        })
    }
}

/// The 64 bits of an int were not enough for the group of this row.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow {
    pub row: usize,
}

/// One reduced value for each group. None is left out, but for `first`; a group without any other
/// value is None.
pub struct Reduced {
    reduction: Reduction,
    /// Texts are moments, and ordered as such.
    moments: bool,
    values: Grown,
    /// Which groups have a value; not kept where every record gives one and 0 or 1 will do to
    /// begin with.
    seen: Option<Vec<bool>>,
    groups: usize,
    text_bytes: usize,
}

enum Grown {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<Box<[u8]>>),
    First(Column),
}

impl Reduced {
    /// For a column like `like`. `optional` says whether it may hold None.
    pub fn new(reduction: Reduction, like: &Column, optional: bool, moments: bool) -> Self {
        let values = match (reduction, &like.values) {
            (Reduction::First, _) => Grown::First(like.empty_like()),
            (_, Values::Int(_) | Values::Same(_)) => Grown::Ints(Vec::new()),
            (_, Values::Float(_)) => Grown::Floats(Vec::new()),
            (_, Values::Bool(_)) => Grown::Bools(Vec::new()),
            (_, Values::Text(_)) => Grown::Texts(Vec::new()),
        };
        let has_start = !matches!(reduction, Reduction::Min | Reduction::Max);
        let first = reduction == Reduction::First;
        Self {
            reduction,
            moments,
            values,
            seen: (!first && (optional || !has_start)).then(Vec::new),
            groups: 0,
            text_bytes: 0,
        }
    }

    /// Roughly how much memory it holds.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Grown::Ints(_) | Grown::Floats(_) => 9 * self.groups,
            Grown::Bools(_) => 2 * self.groups,
            // Each is an allocation of its own.
            Grown::Texts(_) => 33 * self.groups + self.text_bytes,
            Grown::First(column) => column.bytes(),
        }
    }

    /// Adds the rows of a column, each to its group; there are `groups` groups now.
    pub fn add(&mut self, groups: usize, of: &[u32], column: &Column) -> Result<(), Overflow> {
        self.grow(groups);
        let seen = &mut self.seen;
        // Whether the row has a value, and whether its group had one before.
        let mut visit = |row: usize, group: usize| {
            if column.is_null(row) {
                return None;
            }
            let first = seen
                .as_mut()
                .is_some_and(|seen| !std::mem::replace(&mut seen[group], true));
            Some(first)
        };
        let rows = of
            .iter()
            .enumerate()
            .map(|(row, &group)| (row, group as usize));
        match (&mut self.values, &column.values) {
            (Grown::First(firsts), _) => {
                for (row, group) in rows {
                    if group == self.groups {
                        firsts.push_from(group, column, row);
                        self.groups += 1;
                    }
                }
            }
            (Grown::Ints(old), _) => {
                let combine: fn(i64, i64) -> Option<i64> = match self.reduction {
                    Reduction::Sum | Reduction::Count => i64::checked_add,
                    Reduction::Prod => i64::checked_mul,
                    Reduction::Min => |a, b| Some(a.min(b)),
                    _ => |a, b| Some(a.max(b)),
                };
                for (row, group) in rows {
                    ahead(old, of, row);
                    let Some(first) = visit(row, group) else {
                        continue;
                    };
                    let (value, old) = (column.int(row), &mut old[group]);
                    *old = if first {
                        value
                    } else {
                        combine(*old, value).ok_or(Overflow { row })?
                    };
                }
            }
            (Grown::Floats(old), Values::Float(values)) => {
                let combine: fn(f64, f64) -> f64 = match self.reduction {
                    Reduction::Sum => |a, b| a + b,
                    Reduction::Prod => |a, b| a * b,
                    // As Python's min and max: the first, unless a later one is smaller, or larger.
                    Reduction::Min => |a, b| if b < a { b } else { a },
                    _ => |a, b| if b > a { b } else { a },
                };
                for (row, group) in rows {
                    ahead(old, of, row);
                    let Some(first) = visit(row, group) else {
                        continue;
                    };
                    let (value, old) = (values[row], &mut old[group]);
                    *old = if first { value } else { combine(*old, value) };
                }
            }
            (Grown::Bools(old), Values::Bool(values)) => {
                let all = matches!(self.reduction, Reduction::All | Reduction::Min);
                for (row, group) in rows {
                    let Some(first) = visit(row, group) else {
                        continue;
                    };
                    let (value, old) = (values[row], &mut old[group]);
                    *old = match (first, all) {
                        (true, _) => value,
                        (false, true) => *old && value,
                        (false, false) => *old || value,
                    };
                }
            }
            (Grown::Texts(old), Values::Text(text)) => {
                let least = self.reduction == Reduction::Min;
                for (row, group) in rows {
                    let Some(first) = visit(row, group) else {
                        continue;
                    };
                    let (value, old) = (text.get(row), &mut old[group]);
                    let less = |a: &[u8], b: &[u8]| match (moment(a), moment(b)) {
                        (Some(a), Some(b)) if self.moments => a < b,
                        _ => a < b,
                    };
                    if first
                        || if least {
                            less(value, old)
                        } else {
                            less(old, value)
                        }
                    {
                        self.text_bytes += value.len();
                        self.text_bytes -= old.len();
                        *old = value.into();
                    }
                }
            }
            _ => unreachable!("columns of one schema"),
        }
        Ok(())
    }

    fn grow(&mut self, groups: usize) {
        match &mut self.values {
            Grown::Ints(ints) => ints.resize(groups, i64::from(self.reduction == Reduction::Prod)),
            Grown::Floats(floats) => {
                let start = if self.reduction == Reduction::Prod {
                    1.0
                } else {
                    0.0
                };
                floats.resize(groups, start);
            }
            Grown::Bools(bools) => bools.resize(groups, self.reduction == Reduction::All),
            Grown::Texts(texts) => texts.resize(groups, Box::default()),
            Grown::First(_) => return, // They count their groups as they come.
        }
        if let Some(seen) = &mut self.seen {
            seen.resize(groups, false);
        }
        self.groups = groups;
    }

    /// The value of every group.
    pub fn finish(self) -> Column {
        let nulls = self.seen.filter(|seen| seen.contains(&false));
        let nulls = nulls.map(|seen| seen.into_iter().map(|seen| !seen).collect());
        let values = match self.values {
            Grown::First(column) => return column,
            Grown::Ints(ints) => Values::Int(ints),
            Grown::Floats(floats) => Values::Float(floats),
            Grown::Bools(bools) => Values::Bool(bools),
            Grown::Texts(texts) => {
                let mut text = Text::default();
                texts.iter().for_each(|each| text.push(each));
                Values::Text(text)
            }
        };
        Column { values, nulls }
    }
}
