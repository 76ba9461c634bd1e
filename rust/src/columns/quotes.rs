//! Where rows of CSV end. No Python here.

use std::fmt;
use std::ops::Range;

use super::marks;

pub const QUOTE: u8 = b'"';

/// The longest field in quotes: one whose quote is never closed would swallow the rest of a file.
const LONGEST: u64 = 64 << 20;
/// How much is searched before the places found are used, so that they stay in the cache.
const PIECE: usize = 4096;

/// Follows the quotes of an input, from the start of a row on. A quote at the start of a field opens
/// it, the next one that is not doubled closes it, and all others are text. A newline outside of
/// quotes ends a row.
pub struct Quotes {
    delimiter: u8,
    /// Whether a quote is open, and where the last one stands that was.
    inside: bool,
    opened: u64,
    /// Behind the last quote that closed a field: another one here shows that the two are text.
    closed: u64,
    /// The byte before those that come next.
    before: u8,
    found: Vec<u32>,
}

/// A quote that is not closed soon enough, by its position in the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Unclosed(pub u64);

impl fmt::Display for Unclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, mib) = (self.0, LONGEST >> 20);
        write!(
            f,
            "the quote at position {at} is not closed within {mib} MiB"
        )
    }
}

impl Quotes {
    pub fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            inside: false,
            opened: 0,
            closed: u64::MAX,
            before: b'\n',
            found: Vec::new(),
        }
    }

    /// Goes on over a range of some text, whose first byte stands at position `base` of the input.
    pub fn skip(&mut self, text: &[u8], range: Range<usize>, base: u64) -> Result<(), Unclosed> {
        self.walk(text, range, base, [QUOTE], |_| true).map(drop)
    }

    /// As `skip`; appends where the newlines stand that end rows.
    pub fn row_ends(
        &mut self,
        text: &[u8],
        range: Range<usize>,
        base: u64,
        ends: &mut Vec<u32>,
    ) -> Result<(), Unclosed> {
        self.walk(text, range, base, [QUOTE, b'\n'], |end| {
            ends.push(end);
            true
        })
        .map(drop)
    }

    /// As `skip`, but goes no further than the first newline that ends a row, which it returns.
    pub fn first_row_end(
        &mut self,
        text: &[u8],
        range: Range<usize>,
        base: u64,
    ) -> Result<Option<u32>, Unclosed> {
        self.walk(text, range, base, [QUOTE, b'\n'], |_| false)
    }

    /// Goes on until `on_row_end` returns false, and tells for which newline it did.
    #[inline]
    fn walk<const N: usize>(
        &mut self,
        text: &[u8],
        range: Range<usize>,
        base: u64,
        bytes: [u8; N],
        mut on_row_end: impl FnMut(u32) -> bool,
    ) -> Result<Option<u32>, Unclosed> {
        let mut found = std::mem::take(&mut self.found);
        for piece in range.clone().step_by(PIECE) {
            found.clear();
            marks::find(text, piece..range.end.min(piece + PIECE), bytes, &mut found);
            for &at in &found {
                let i = at as usize;
                if text[i] == QUOTE {
                    let before = if i == range.start {
                        self.before
                    } else {
                        text[i - 1]
                    };
                    self.quote(base + i as u64, before)?;
                } else if !self.inside && !on_row_end(at) {
                    self.before = b'\n';
                    self.found = found;
                    return Ok(Some(at));
                }
            }
        }
        self.found = found;
        if let Some(&last) = text[range.clone()].last() {
            self.before = last;
        }
        if self.inside {
            self.check_length(base + range.end as u64)?;
        }
        Ok(None)
    }

    #[inline]
    fn quote(&mut self, at: u64, before: u8) -> Result<(), Unclosed> {
        if self.inside {
            self.inside = false;
            self.closed = at + 1;
            return self.check_length(at);
        }
        if at == self.closed {
            self.inside = true;
        } else if before == self.delimiter || before == b'\n' {
            self.inside = true;
            self.opened = at;
        }
        Ok(())
    }

    fn check_length(&self, end: u64) -> Result<(), Unclosed> {
        if end - self.opened > LONGEST {
            return Err(Unclosed(self.opened));
        }
        Ok(())
    }
}
