//! Rows whose field compares so with a constant. No Python here.

use std::cmp::Ordering;

use crate::columns::column::{Column, Values};
use crate::groups::keys::moment;

#[derive(Clone, Copy)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether it holds of two values so ordered; those without an order (NaN) are only unequal.
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match (self, ordering) {
            (Comparison::NotEqual, None) => true,
            (_, None) => false,
            (Comparison::Equal, Some(ordering)) => ordering.is_eq(),
            (Comparison::NotEqual, Some(ordering)) => ordering.is_ne(),
            (Comparison::Less, Some(ordering)) => ordering.is_lt(),
            (Comparison::LessOrEqual, Some(ordering)) => ordering.is_le(),
            (Comparison::Greater, Some(ordering)) => ordering.is_gt(),
            (Comparison::GreaterOrEqual, Some(ordering)) => ordering.is_ge(),
        }
    }
}

/// The constant, as it would stand in a column.
pub enum Constant {
    None,
    Text(Vec<u8>),
    /// A datetime without an offset; those with one are neither less nor greater.
    Naive(Vec<u8>),
    /// Microseconds since 1970.
    Moment(i64),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// The rows of a column that are kept. None is equal to None, and has no order.
pub fn filter(
    column: &Column,
    rows: usize,
    comparison: Comparison,
    constant: &Constant,
) -> Vec<u32> {
    let order = |row: usize| {
        if let Constant::None = constant {
            return column.is_null(row).then_some(Ordering::Equal);
        }
        if column.is_null(row) {
            return None;
        }
        match (&column.values, constant) {
            (Values::Int(_) | Values::Same(_), Constant::Int(int)) => {
                Some(column.int(row).cmp(int))
            }
            (Values::Float(floats), Constant::Float(float)) => floats[row].partial_cmp(float),
            (Values::Bool(bools), Constant::Bool(bool)) => Some(bools[row].cmp(bool)),
            (Values::Text(text), Constant::Text(bytes)) => Some(text.get(row).cmp(bytes)),
            (Values::Text(text), Constant::Naive(bytes)) => match moment(text.get(row)) {
                Some(_) => None,
                None => Some(text.get(row).cmp(bytes)),
            },
            (Values::Text(text), Constant::Moment(micros)) => {
                moment(text.get(row)).map(|moment| moment.cmp(micros))
            }
            _ => None,
        }
    };
    let kept = (0..rows).filter(|&row| comparison.holds(order(row)));
    kept.map(|row| row as u32).collect()
}
