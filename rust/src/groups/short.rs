//! A table from short texts to sums: the inner loop of counting words.
//!
//! Keys of up to 15 bytes stand in the table itself, three to a cache line with their sums, so that a
//! lookup costs one cache miss; and those misses overlap, because rows are hashed and prefetched a
//! batch at a time before any is looked up.

use triomphe::Arc;

use crate::columns::column::{Span, Text};
use crate::groups::hash::{of_short, prefetch};
use crate::groups::pages::{Pages, Plain};

pub const LONGEST: u32 = 15;
const SLOTS: usize = 3;
const BATCH: usize = 128;
const GROWTH: usize = 4;
const SMALLEST: usize = 1 << 13;

/// One cache line. A key is its bytes, zeroes, and its length + 1 in the last byte; 0 is no key.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    keys: [u128; SLOTS],
    sums: [u32; SLOTS],
    _rest: u32,
}

// SAFETY: integers, and 64 divides the size of a page.
unsafe impl Plain for Bucket {}

pub struct ShortKeys {
    buckets: Pages<Bucket>,
    used: usize,
}

/// A sum beyond what this table holds.
pub struct Beyond;

const MASKS: [u128; 16] = {
    let mut masks = [0; 16];
    let mut len = 1;
    while len < 16 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

#[inline]
fn key_of(data: &[u8], span: Span) -> u128 {
    let (start, len) = (span.start as usize, span.len as usize);
    let raw = match data.get(start..start + 16) {
        Some(bytes) => u128::from_le_bytes(bytes.try_into().unwrap()),
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&data[start..start + len]);
            u128::from_le_bytes(bytes)
        }
    };
    (raw & MASKS[len & 15]) | (span.len as u128 + 1) << 120
}

impl ShortKeys {
    pub fn new() -> Self {
        Self::with(SMALLEST)
    }

    /// As large as the last one became, if it may be.
    pub fn new_within(limit: usize) -> Self {
        let spare = Pages::<Bucket>::spare().filter(|buckets| buckets.is_power_of_two());
        let fits = |&buckets: &usize| buckets * size_of::<Bucket>() <= limit;
        Self::with(spare.filter(fits).unwrap_or(SMALLEST).max(SMALLEST))
    }

    /// `buckets` is a power of two.
    fn with(buckets: usize) -> Self {
        Self {
            buckets: Pages::zeroed(buckets),
            used: 0,
        }
    }

    /// Makes room for so many more keys, unless the table would pass `limit` bytes; says whether
    /// there is room.
    pub fn reserve(&mut self, more: usize, limit: usize) -> bool {
        let mut buckets = self.buckets.len();
        // Above two thirds full, runs of full buckets grow long.
        while self.used + more > buckets * SLOTS * 2 / 3 {
            let far = buckets * GROWTH * size_of::<Bucket>() > limit;
            buckets *= if far { 2 } else { GROWTH };
        }
        if buckets == self.buckets.len() {
            return true;
        }
        if buckets * size_of::<Bucket>() > limit {
            return false;
        }
        let old = std::mem::replace(&mut self.buckets, Pages::zeroed(buckets));
        self.used = 0;
        for chunk in old.chunks(BATCH / SLOTS) {
            let entries = || {
                let slots = |bucket: &Bucket| {
                    std::array::from_fn::<_, SLOTS, _>(|i| (bucket.keys[i], bucket.sums[i]))
                };
                chunk.iter().flat_map(slots).filter(|&(key, _)| key != 0)
            };
            for (key, _) in entries() {
                prefetch(&self.buckets[self.home(key)]);
            }
            for (key, sum) in entries() {
                let added = self.add(key, self.home(key), sum);
                debug_assert!(added.is_ok());
            }
        }
        true
    }

    #[inline]
    fn home(&self, key: u128) -> usize {
        of_short(key) as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn add(&mut self, key: u128, home: usize, n: u32) -> Result<(), Beyond> {
        let last = self.buckets.len() - 1;
        let mut at = home;
        loop {
            let bucket = &mut self.buckets[at];
            for slot in 0..SLOTS {
                if bucket.keys[slot] == key {
                    bucket.sums[slot] = bucket.sums[slot].checked_add(n).ok_or(Beyond)?;
                    return Ok(());
                }
                if bucket.keys[slot] == 0 {
                    bucket.keys[slot] = key;
                    bucket.sums[slot] = n;
                    self.used += 1;
                    return Ok(());
                }
            }
            at = (at + 1) & last;
        }
    }

    /// Adds `n(row)` to the sum of each of the texts, all of them short. There must be room.
    ///
    /// # Errors
    /// A sum got too large: the rows before that one, whose number comes with it, are added.
    pub fn add_all(
        &mut self,
        data: &[u8],
        spans: &[Span],
        n: impl Fn(usize) -> Option<u32>,
    ) -> Result<(), usize> {
        let mut keys = [0; BATCH];
        let mut homes = [0; BATCH];
        for (number, chunk) in spans.chunks(BATCH).enumerate() {
            for (i, &span) in chunk.iter().enumerate() {
                keys[i] = key_of(data, span);
                homes[i] = self.home(keys[i]);
                prefetch(&self.buckets[homes[i]]);
            }
            for i in 0..chunk.len() {
                let row = number * BATCH + i;
                let n = n(row).ok_or(row)?;
                self.add(keys[i], homes[i], n).map_err(|Beyond| row)?;
            }
        }
        Ok(())
    }

    /// Tells of each of the texts, all of them short, whether it is a key.
    pub fn look_up(&self, data: &[u8], spans: &[Span], mut each: impl FnMut(usize, bool)) {
        let mut keys = [0; BATCH];
        for (number, chunk) in spans.chunks(BATCH).enumerate() {
            for (key, &span) in keys.iter_mut().zip(chunk) {
                *key = key_of(data, span);
                prefetch(&self.buckets[self.home(*key)]);
            }
            for (i, &key) in keys[..chunk.len()].iter().enumerate() {
                each(number * BATCH + i, self.has(key));
            }
        }
    }

    fn has(&self, key: u128) -> bool {
        let last = self.buckets.len() - 1;
        let mut at = self.home(key);
        loop {
            for &found in &self.buckets[at].keys {
                if found == key || found == 0 {
                    return found == key;
                }
            }
            at = (at + 1) & last;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Takes out all keys and sums, in parts of at most `rows`; the table is empty then.
    pub fn drain(&mut self, rows: usize, mut each: impl FnMut(Text, Vec<i64>)) {
        let mut data = Vec::with_capacity(rows * 8);
        let mut spans = Vec::with_capacity(rows);
        let mut sums = Vec::with_capacity(rows);
        for bucket in self.buckets.iter_mut() {
            for slot in 0..SLOTS {
                let key = bucket.keys[slot].to_le_bytes();
                if key[15] == 0 {
                    break;
                }
                let len = usize::from(key[15]) - 1;
                spans.push(Span::new(data.len(), len));
                data.extend_from_slice(&key);
                data.truncate(data.len() - 16 + len);
                sums.push(i64::from(bucket.sums[slot]));
            }
            *bucket = Bucket {
                keys: [0; SLOTS],
                sums: [0; SLOTS],
                _rest: 0,
            };
            if spans.len() + SLOTS > rows {
                let text = Text {
                    data: Arc::new(std::mem::take(&mut data)),
                    spans: std::mem::take(&mut spans),
                };
                each(text, std::mem::take(&mut sums));
            }
        }
        self.used = 0;
        if !spans.is_empty() {
            let text = Text {
                data: Arc::new(data),
                spans,
            };
            each(text, sums);
        }
    }
}
