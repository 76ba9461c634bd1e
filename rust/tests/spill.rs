//! Tests of what goes to disk and comes back.

// What the rest of the core uses.
#![allow(dead_code)]

#[path = "../src/columns"]
mod columns {
    pub mod column;
}
#[path = "../src/groups"]
mod groups {
    pub mod hash;
    pub mod keys;
    pub mod pages;
}
#[path = "../src/spill"]
mod spill {
    pub mod parts;
    pub mod rows;
    pub mod scratch;
}

use std::collections::HashMap;
use std::path::PathBuf;

use columns::column::{Batch, Column, Text, Values};
use groups::keys::Same;
use spill::rows;
use spill::scratch::Scratch;

const KEYS: [usize; 2] = [0, 1];
const INTS: [i64; 9] = [0, 1, -1, 127, -128, 255, 1 << 40, i64::MAX, i64::MIN];
const TEXTS: [&[u8]; 4] = [b"", b"\0\n\t\xff", b"plain", &[b'x'; 300]];

fn batch(size: usize) -> Batch {
    let mut text = Text::default();
    let mut floats = Vec::new();
    for row in 0..size {
        text.push(TEXTS[row % TEXTS.len()]);
        floats.push(match row % 4 {
            0 => -0.0,
            1 => f64::from_bits(0x7ff8_0000_0000_beef),
            2 => f64::NEG_INFINITY,
            _ => row as f64 / 3.0,
        });
    }
    let nulls = |every| Some((0..size).map(|row| row % every == 0).collect());
    let values = [
        Values::Text(text),
        Values::Int((0..size).map(|row| INTS[row % INTS.len()]).collect()),
        Values::Float(floats),
        Values::Bool((0..size).map(|row| row % 3 == 0).collect()),
        Values::Same(7),
    ];
    let columns = values.into_iter().enumerate();
    Batch {
        rows: size,
        columns: columns
            .map(|(i, values)| Column {
                values,
                nulls: if i < 4 { nulls(i + 2) } else { None },
            })
            .collect(),
        origin: None,
    }
}

fn like() -> Vec<Column> {
    batch(0).columns.iter().map(Column::empty_like).collect()
}

/// Everything that a row holds, as bytes.
fn row(batch: &Batch, like: &[Column], row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    rows::write(&batch.columns, like, row, &mut out);
    out
}

/// What is equal of rows with equal keys.
fn key(batch: &Batch, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for at in KEYS {
        groups::keys::encode(&batch.columns[at], Same::Value, row, &mut out);
    }
    out
}

fn is_same(a: &Batch, b: &Batch) -> bool {
    a.rows == b.rows
        && (0..a.rows).all(|row| {
            a.columns.iter().zip(&b.columns).all(|(a, b)| {
                if a.is_null(row) || b.is_null(row) {
                    return a.is_null(row) && b.is_null(row);
                }
                match (&a.values, &b.values) {
                    (Values::Text(a), Values::Text(b)) => a.get(row) == b.get(row),
                    (Values::Float(a), Values::Float(b)) => a[row].to_bits() == b[row].to_bits(),
                    (Values::Bool(a), Values::Bool(b)) => a[row] == b[row],
                    _ => a.int(row) == b.int(row),
                }
            })
        })
}

#[test]
fn rows_come_back_exactly() {
    let all = batch(500);
    let mut block = Vec::new();
    (0..all.rows).for_each(|row| rows::write(&all.columns, &like(), row, &mut block));
    let found = rows::read(block, all.rows, &like()).unwrap();
    assert!(is_same(&all, &found));
}

#[test]
fn columns_that_nobody_asks_for_are_left_out() {
    let all = batch(50);
    let mut like = like();
    like[0] = Values::Same(0).into();
    like[2] = Values::Same(0).into();
    let mut block = Vec::new();
    (0..all.rows).for_each(|row| rows::write(&all.columns, &like, row, &mut block));
    let mut found = rows::read(block, all.rows, &like).unwrap();
    for left_out in [0, 2] {
        assert!(matches!(found.columns[left_out].values, Values::Same(0)));
        found.columns[left_out] = all.columns[left_out].clone();
    }
    assert!(is_same(&all, &found));
}

#[test]
fn damaged_blocks_are_refused() {
    let all = batch(20);
    let mut block = Vec::new();
    (0..all.rows).for_each(|row| rows::write(&all.columns, &like(), row, &mut block));
    for end in 0..block.len() {
        assert!(rows::read(block[..end].to_vec(), all.rows, &like()).is_none());
    }
    assert!(rows::read(block.clone(), all.rows - 1, &like()).is_none());
    for at in 0..block.len() {
        let mut other = block.clone();
        other[at] ^= 0x55;
        let _ = rows::read(other, all.rows, &like()); // Whatever it is, it does not panic.
    }
}

#[test]
fn parts_hold_all_records_and_equal_keys_meet() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("parts.spill");
    let all = batch(3000);
    for limit in [1, 100_000] {
        let mut scratch = Scratch::new(limit, path.clone());
        let same = [Same::Value, Same::Value];
        let mut spill = scratch.open(&like(), &same, 0).unwrap();
        assert!(!path.exists());
        let (first, rest) = (0..1000, 1000..all.rows as u32);
        spill.push(&all, &KEYS, first).unwrap();
        spill.push(&all, &KEYS, rest).unwrap();
        let parts = scratch.close(spill).unwrap();
        assert!(scratch.bytes > 0 && scratch.spills == 1);
        let mut found = Vec::new();
        let mut seen = HashMap::new();
        for (number, mut part) in parts.into_iter().enumerate() {
            let mut once = Vec::new();
            while let Some(batch) = part.read().unwrap() {
                for at in 0..batch.rows {
                    assert_eq!(*seen.entry(key(&batch, at)).or_insert(number), number);
                    once.push(row(&batch, &like(), at));
                }
            }
            part.rewind();
            let mut again = Vec::new();
            while let Some(batch) = part.read().unwrap() {
                again.extend((0..batch.rows).map(|at| row(&batch, &like(), at)));
            }
            assert_eq!(once, again);
            found.extend(once);
        }
        let mut expected: Vec<_> = (0..all.rows).map(|at| row(&all, &like(), at)).collect();
        assert_eq!(found.len(), expected.len());
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_folder_that_is_not_there_is_noted() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("none/parts.spill");
    let mut scratch = Scratch::new(1, path);
    assert!(scratch.open(&like(), &[Same::Value], 0).is_err());
    assert_eq!(scratch.broken, Some(libc::ENOENT));
}
