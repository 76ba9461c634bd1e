//! Distinct keys, numbered in the order of their first appearance.

use crate::columns::column::{Column, Text, Values};
use crate::groups::hash::{of_bytes, of_int, prefetch};
use crate::groups::pages::Pages;

/// What makes two values of a key column equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Same {
    /// The same value, as it stands there.
    Value,
    /// Floats: 0.0 and -0.0 are equal, and so is NaN to itself.
    Number,
    /// The same moment, of datetimes that know their offset from UTC.
    Moment,
}

const BATCH: usize = 128;
/// Ints from 0 up to here are looked up in a plain array.
const DENSE: usize = 4096;
const FIRST: usize = 1024;

pub struct Keys {
    same: Vec<Same>,
    /// The key columns of every group's first record.
    pub columns: Vec<Column>,
    len: usize,
    /// What keys are compared by where that is not their one column: all parts, one after another.
    encoded: Option<Text>,
    /// Open addressing: the upper half of a hash, and the group's number + 1; 0 is no group.
    index: Pages<u64>,
    dense: Vec<u32>,
    /// The index grows by less, rather than to more slots than these.
    widest: usize,
}

impl Keys {
    /// `columns` are empty columns, `same` says how each is compared.
    pub fn new(columns: Vec<Column>, same: Vec<Same>, optional: bool) -> Self {
        let ints = matches!(&columns[..], [column] if matches!(column.values, Values::Int(_)));
        let plain = matches!(&columns[..], [column] if matches!(column.values, Values::Int(_) | Values::Text(_)))
            && same == [Same::Value]
            && !optional;
        Self {
            same,
            columns,
            len: 0,
            encoded: (!plain).then(Text::default),
            index: Pages::zeroed(FIRST),
            dense: if plain && ints {
                vec![0; DENSE]
            } else {
                Vec::new()
            },
            widest: usize::MAX,
        }
    }

    /// Takes out all keys, and gives their memory back.
    pub fn clear(&mut self) {
        for column in &mut self.columns {
            *column = column.empty_like();
        }
        self.len = 0;
        self.encoded = self.encoded.take().map(|_| Text::default());
        self.index = Pages::zeroed(FIRST);
        self.dense.fill(0);
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Roughly how much memory it holds.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(Column::bytes).sum();
        let encoded = self.encoded.as_ref();
        let encoded = encoded.map_or(0, |text| text.data.capacity() + 8 * text.spans.capacity());
        columns + encoded + 4 * self.dense.len() + 8 * self.index.len()
    }

    /// Whether so many more keys can be assigned without passing `limit` bytes.
    pub fn has_room(&mut self, more: usize, limit: usize) -> bool {
        let others = self.bytes() - 8 * self.index.len();
        self.widest = limit.saturating_sub(others) / 8;
        self.size_for(more) <= self.widest && self.bytes() < limit
    }

    /// The number of the group of every row, new groups being added. `key` are the key columns.
    pub fn assign(&mut self, key: &[&Column], rows: usize, groups: &mut Vec<u32>) {
        groups.clear();
        groups.reserve(rows);
        match (&self.encoded, key) {
            (None, [column]) => match &column.values {
                Values::Text(text) => self.assign_texts(key, text, groups),
                _ => self.assign_ints(key, rows, groups),
            },
            _ => {
                let text = self.encode_all(key, rows);
                self.assign_texts(key, &text, groups);
            }
        }
    }

    /// The number of the group of every row, None where there is none.
    pub fn look_up(&self, key: &[&Column], rows: usize, groups: &mut Vec<Option<u32>>) {
        groups.clear();
        groups.reserve(rows);
        match (&self.encoded, key) {
            (None, [column]) => match &column.values {
                Values::Text(text) => self.look_up_texts(text, groups),
                _ => self.look_up_ints(column, rows, groups),
            },
            _ => self.look_up_texts(&self.encode_all(key, rows), groups),
        }
    }

    fn look_up_texts(&self, text: &Text, groups: &mut Vec<Option<u32>>) {
        let mut hashes = [0; BATCH];
        for chunk in text.spans.chunks(BATCH) {
            for (hash, span) in hashes.iter_mut().zip(chunk) {
                *hash = of_bytes(span.of(&text.data));
                prefetch(&self.index[self.home(*hash)]);
            }
            for (hash, span) in hashes.iter().zip(chunk) {
                groups.push(self.find_text(*hash, span.of(&text.data)).ok());
            }
        }
    }

    fn look_up_ints(&self, column: &Column, rows: usize, groups: &mut Vec<Option<u32>>) {
        let mut hashes = [0; BATCH];
        for start in (0..rows).step_by(BATCH) {
            let count = BATCH.min(rows - start);
            for (i, hash) in hashes[..count].iter_mut().enumerate() {
                *hash = of_int(column.int(start + i).cast_unsigned());
                prefetch(&self.index[self.home(*hash)]);
            }
            self.prefetch_keys(&hashes[..count]);
            for (i, &hash) in hashes[..count].iter().enumerate() {
                let wanted = column.int(start + i);
                groups.push(match dense(wanted) {
                    Some(at) => self.dense[at].checked_sub(1),
                    None => self.find_int(hash, wanted).ok(),
                });
            }
        }
    }

    fn encode_all(&self, key: &[&Column], rows: usize) -> Text {
        let mut text = Text::default();
        let mut part = Vec::new();
        for row in 0..rows {
            part.clear();
            for (column, &same) in key.iter().zip(&self.same) {
                encode(column, same, row, &mut part);
            }
            text.push(&part);
        }
        text
    }

    fn find_text(&self, hash: u64, wanted: &[u8]) -> Result<u32, usize> {
        self.find(hash, |keys, group| match &keys.encoded {
            Some(encoded) => encoded.get(group) == wanted,
            None => keys.columns[0].text().get(group) == wanted,
        })
    }

    fn find_int(&self, hash: u64, wanted: i64) -> Result<u32, usize> {
        self.find(hash, |keys, group| keys.columns[0].int(group) == wanted)
    }

    fn assign_texts(&mut self, key: &[&Column], text: &Text, groups: &mut Vec<u32>) {
        let mut hashes = [0; BATCH];
        for (number, chunk) in text.spans.chunks(BATCH).enumerate() {
            self.reserve(chunk.len());
            for (hash, span) in hashes.iter_mut().zip(chunk) {
                *hash = of_bytes(span.of(&text.data));
                prefetch(&self.index[self.home(*hash)]);
            }
            self.prefetch_keys(&hashes[..chunk.len()]);
            for (i, span) in chunk.iter().enumerate() {
                let wanted = span.of(&text.data);
                let group = self.find_text(hashes[i], wanted);
                groups.push(group.unwrap_or_else(|slot| {
                    if let Some(encoded) = &mut self.encoded {
                        encoded.push(wanted);
                    }
                    self.add(slot, hashes[i], key, number * BATCH + i)
                }));
            }
        }
    }

    fn assign_ints(&mut self, key: &[&Column], rows: usize, groups: &mut Vec<u32>) {
        let column = key[0];
        let mut hashes = [0; BATCH];
        for start in (0..rows).step_by(BATCH) {
            let count = BATCH.min(rows - start);
            self.reserve(count);
            for (i, hash) in hashes[..count].iter_mut().enumerate() {
                *hash = of_int(column.int(start + i).cast_unsigned());
                prefetch(&self.index[self.home(*hash)]);
            }
            self.prefetch_keys(&hashes[..count]);
            for (i, &hash) in hashes[..count].iter().enumerate() {
                let row = start + i;
                let wanted = column.int(row);
                if let Some(at) = dense(wanted) {
                    if self.dense[at] == 0 {
                        self.dense[at] = self.append(key, row) + 1;
                    }
                    groups.push(self.dense[at] - 1);
                    continue;
                }
                let group = self.find_int(hash, wanted);
                groups.push(group.unwrap_or_else(|slot| self.add(slot, hash, key, row)));
            }
        }
    }

    /// Brings the keys near that are likely to be compared with.
    #[inline]
    fn prefetch_keys(&self, hashes: &[u64]) {
        for &hash in hashes {
            let Some(group) = (self.index[self.home(hash)] as u32).checked_sub(1) else {
                continue;
            };
            match (&self.encoded, &self.columns[0].values) {
                (Some(text), _) | (None, Values::Text(text)) => {
                    prefetch(&text.spans[group as usize]);
                }
                (None, Values::Int(ints)) => prefetch(&ints[group as usize]),
                _ => {}
            }
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    /// The group, or the free slot where it belongs.
    #[inline]
    fn find(&self, hash: u64, equal: impl Fn(&Self, usize) -> bool) -> Result<u32, usize> {
        let last = self.index.len() - 1;
        let mut at = self.home(hash);
        loop {
            let slot = self.index[at];
            if slot == 0 {
                return Err(at);
            }
            let group = (slot as u32) - 1;
            if slot >> 32 == hash >> 32 && equal(self, group as usize) {
                return Ok(group);
            }
            at = (at + 1) & last;
        }
    }

    fn add(&mut self, slot: usize, hash: u64, key: &[&Column], row: usize) -> u32 {
        let group = self.append(key, row);
        self.index[slot] = hash >> 32 << 32 | u64::from(group + 1);
        group
    }

    fn append(&mut self, key: &[&Column], row: usize) -> u32 {
        for (column, from) in self.columns.iter_mut().zip(key) {
            column.push_from(self.len, from, row);
        }
        self.len += 1;
        // Slots hold 32 bits: four billion groups in one task is beyond any memory.
        u32::try_from(self.len).expect("below 2^32 groups") - 1
    }

    /// Keeps the index at most half full with so many more keys.
    fn reserve(&mut self, more: usize) {
        let size = self.size_for(more);
        if size > self.index.len() {
            self.grow(size);
        }
    }

    /// How large the index is to be with so many more keys.
    fn size_for(&self, more: usize) -> usize {
        let least = (self.len + more) * 2;
        if least <= self.index.len() {
            return self.index.len();
        }
        let wide = (2 * least).next_power_of_two();
        if wide <= self.widest { wide } else { wide / 2 }
    }

    /// `size` is a power of two.
    fn grow(&mut self, size: usize) {
        self.index = Pages::zeroed(size);
        for group in 0..self.len {
            let hash = match (&self.encoded, &self.columns[0].values) {
                (Some(encoded), _) => of_bytes(encoded.get(group)),
                (None, Values::Text(text)) => of_bytes(text.get(group)),
                (None, _) => of_int(self.columns[0].int(group).cast_unsigned()),
            };
            let mut at = self.home(hash);
            while self.index[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.index[at] = hash >> 32 << 32 | (group as u64 + 1);
        }
    }
}

fn dense(int: i64) -> Option<usize> {
    usize::try_from(int).ok().filter(|&at| at < DENSE)
}

/// Appends one part of a key so that equal parts, and only they, are the same bytes, and no two
/// sequences of parts run together.
pub fn encode(column: &Column, same: Same, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        out.push(0);
        return;
    }
    out.push(1);
    match &column.values {
        Values::Text(text) => {
            let text = text.get(row);
            if same == Same::Moment
                && let Some(moment) = moment(text)
            {
                out.extend_from_slice(&moment.to_le_bytes());
                return;
            }
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
        Values::Int(_) | Values::Same(_) => out.extend_from_slice(&column.int(row).to_le_bytes()),
        Values::Float(floats) => {
            let float = match floats[row] {
                0.0 => 0.0,
                nan if nan.is_nan() => f64::NAN,
                float => float,
            };
            out.extend_from_slice(&float.to_le_bytes());
        }
        Values::Bool(bools) => out.push(u8::from(bools[row])),
    }
}

/// Microseconds since 1970 of a datetime with an offset, as `isoformat` writes it:
/// `2026-01-02T03:04:05[.678901]+01:00[:30[.000001]]`. None if it has no offset.
pub fn moment(text: &[u8]) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?.iter().try_fold(0i64, |value, &digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let mut at = 19;
    let mut micros = 0;
    if text.get(at) == Some(&b'.') {
        micros = number(20..26)?;
        at = 26;
    }
    let sign = match text.get(at)? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut offset = number(at + 1..at + 3)? * 3600 + number(at + 4..at + 6)? * 60;
    let mut offset_micros = 0;
    if text.get(at + 6) == Some(&b':') {
        offset += number(at + 7..at + 9)?;
    }
    if text.get(at + 9) == Some(&b'.') {
        offset_micros = number(at + 10..at + 16)?;
    }
    // Days since 1970 in the proleptic Gregorian calendar (H. Hinnant, days_from_civil).
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let utc = days * 86_400 + seconds - sign * offset;
    Some(utc * 1_000_000 + micros - sign * offset_micros)
}
