//! What native joiners do with the records of a shard.

pub mod by_key;
pub mod distinct;
pub mod grouped;
pub mod matching;
pub mod top_k;

use crate::codec::Shape;
use crate::columns::column::{Batch, Column, Values};
use crate::columns::rows;
use crate::grouping::key_of;
use crate::groups::keys::{Keys, Same};

pub fn empty(columns: Vec<Column>) -> Batch {
    Batch {
        rows: 0,
        columns,
        origin: None,
    }
}

/// Empty columns to append records to: only those fields are kept that are asked for.
pub fn builder(shape: &Shape, asked: impl Fn(usize) -> bool) -> Vec<Column> {
    let columns = rows::builder(shape).into_iter().enumerate();
    let kept = columns.map(|(i, column)| {
        if asked(i) {
            column
        } else {
            Values::Same(0).into()
        }
    });
    kept.collect()
}

/// How these fields are compared as keys.
pub fn same(shape: &Shape, keys: &[usize]) -> Vec<Same> {
    keys.iter().map(|&key| key_of(shape, key).same).collect()
}

/// The keys of one input; `optional` says that those to be looked up may be None besides.
fn keys_of(shape: &Shape, keys: &[usize], optional: bool) -> Keys {
    let like = rows::builder(shape);
    let columns = keys.iter().map(|&key| like[key].empty_like()).collect();
    let optional = optional || keys.iter().any(|&key| shape.field(key).optional);
    Keys::new(columns, same(shape, keys), optional)
}

/// The key columns of a batch.
fn columns_of<'a>(batch: &'a Batch, keys: &[usize]) -> Vec<&'a Column> {
    keys.iter().map(|&key| &batch.columns[key]).collect()
}
